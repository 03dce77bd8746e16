"""The small namespaces of a `Client`, one module each."""
