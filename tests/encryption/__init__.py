"""Blobs encrypted by the registry: in files, in S3, and small ones in the database."""
