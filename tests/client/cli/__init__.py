"""The command gati: the real program against a real registry with accounts."""
