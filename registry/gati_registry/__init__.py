"""The Gati OCI registry core."""
