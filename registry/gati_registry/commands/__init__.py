"""The server's commands, one module each with `run(arguments) -> int`."""
