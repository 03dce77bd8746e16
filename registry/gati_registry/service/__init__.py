"""Floor 3: the use cases, one transaction each."""
