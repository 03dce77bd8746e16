"""Replicas whose processes, database, blob store or network fail under load, and what their clients were told."""
