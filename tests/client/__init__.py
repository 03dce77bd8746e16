"""The command gati and its SDK, against real registries."""
