"""Floor 4: the metadata database. `sql` is shared by the engines, each of which has a folder of its own."""
