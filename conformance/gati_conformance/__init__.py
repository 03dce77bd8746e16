"""Conformance suite for OCI registries.

`python -m gati_conformance http://HOST[:PORT]` checks a running registry, whoever wrote it: every entry of the
distribution-spec's own suite (same names, same `OCI_*` switches) and what that suite leaves out. The package
imports nothing of the server.

Read it in this order: `model` (what a case and a result are), `config`, `client`, `context` (what a case may do),
`cases/` (what is checked), `runner`, `report`.
"""
