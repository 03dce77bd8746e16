"""The benchmark: this registry and its peers, on the same machine, with the same data (`python -m bench`)."""
