"""SQL of this extension, for each engine."""
