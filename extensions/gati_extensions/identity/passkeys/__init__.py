"""Passkeys and security keys (WebAuthn) as a second factor, beside one-time passwords.

    ceremony  challenges and what answers them
    store     the tables
    model     what the routes take and answer
    routes    adding, listing and removing them; logging in

A challenge belongs to one account and one session, is good once and for minutes. Needs the extra `federation`.
"""
