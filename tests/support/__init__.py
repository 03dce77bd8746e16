"""Helpers shared by the tests: real processes, raw HTTP, made-up artifacts."""
