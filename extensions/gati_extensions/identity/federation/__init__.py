"""Logging in by a provider elsewhere: GitHub, Google, any OpenID Connect issuer."""
