"""Floor 4: where blobs' bytes live."""
