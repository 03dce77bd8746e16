"""Passwords and groups of a directory (LDAP)."""
