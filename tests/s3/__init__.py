"""Blobs in S3, against a real MinIO."""
