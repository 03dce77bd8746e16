"""Floor 0: immutable values with `parse` and `str()`. They import nothing of the registry but its errors."""
