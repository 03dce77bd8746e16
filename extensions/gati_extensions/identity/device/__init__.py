"""Logging in on a device that has no browser (RFC 8628): it shows a code, a person confirms it elsewhere.

    codes   the code that a person types, and its one form
    store   requests that wait for a person
    page    what the person sees
    routes  the endpoints

What the device gets is an API key with the scopes that were shown, made when it fetches it: nothing waits in the clear.
"""
