"""Data on its way: to another store or database, into a backup and out of it.

progress    what is told to people and programs meanwhile
places      the registry's databases and stores by URL; whether a registry serves from one
holding     the lease under which no bytes are removed
blobs       from store to store, every byte hashed on the way
database    all tables from one engine to the other
vault       where backups are: a folder or a bucket, and what is sealed in it
snapshots   what a backup holds
backup      one more snapshot; retention
restore     a registry out of a snapshot; the same, only reading
"""
