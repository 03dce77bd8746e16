"""Floor 1: the registry's rules, free of I/O and clocks."""
