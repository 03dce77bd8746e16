"""Client certificates of services: TLS checks them, a mapping says whose they are.

    parsing        what of a certificate a mapping can be by
    store          mappings, and certificates that are revoked
    authenticator  whose a connection's certificate is
    routes         making and removing them

A robot alone has certificates: a person's browser would send one along with whatever another site makes it request.
"""
