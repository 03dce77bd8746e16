"""Trusted publishing: a build's own OIDC token, exchanged for an hour's token of one repository.

    issuers    the issuers' keys: discovery and JWKS, fetched with guard, kept
    assertion  a build's token: signature, times, audience; its claims
    store      the tables
    routes     registering, and the exchange (RFC 8693)

A publisher says whose tokens are believed (issuer), which builds are meant (exact claims), and what they may do in one
repository. The build has no account: it acts in the name of the namespace's owner, within these bounds.
"""
