"""Search by signature: methods that take X and give Y.

a push ──▶ what the latest version's methods take and give ──▶ keys of both (`given_keys`, `wanted_keys`)
a question ──keys──▶ candidates ──`fits`──▶ methods, the exact ones first
"""
