"""Users, organizations, teams, robots; passwords, API keys, tokens, browsers' sessions."""

from __future__ import annotations

import argparse

from gati_extensions.identity.settings import IdentitySettings
from gati_registry.extension import Command, Contribution, Extension, Kernel


def _contribute(kernel: Kernel, settings: IdentitySettings) -> Contribution:
    from gati_extensions.identity.contribution import contribution

    return contribution(kernel, settings)


async def _user(kernel: Kernel, arguments: argparse.Namespace) -> int:
    from gati_extensions.identity.commands import user

    return await user(kernel, arguments)


def _user_arguments(parser: argparse.ArgumentParser) -> None:
    from gati_extensions.identity.commands import user_arguments

    user_arguments(parser)


async def _signing_key(kernel: Kernel, arguments: argparse.Namespace) -> int:
    from gati_extensions.identity.commands import signing_key

    return await signing_key(kernel, arguments)


def _signing_key_arguments(parser: argparse.ArgumentParser) -> None:
    from gati_extensions.identity.commands import signing_key_arguments

    signing_key_arguments(parser)


extension = Extension(
    name="identity",
    summary="Who is who: users, organizations, teams and robots; passwords, API keys, tokens and sessions.",
    contribute=_contribute,
    settings=IdentitySettings,
    permissions={
        "identity.signup": "Make an account: everybody, as far as the setting identity.signup allows.",
        "identity.login": "Log in and out in a browser: everybody.",
        "identity.token": "Get a token for what one may do: everybody, the anonymous for what is public.",
        "identity.self": "Look at and change one's own account; look at others' profiles.",
        "identity.keys": "Make and revoke API keys, end logins of client programs: one's own and one's robots'.",
        "identity.robots": "Make and remove robots: one's own and those of organizations that one owns.",
        "identity.links": "Look at, make and remove links to identities that one logs in by elsewhere: one's own.",
        "identity.sessions": "Look at and end one's own browsers' sessions.",
        "identity.second-factor": "Set up and remove one's own second factor.",
        "identity.certificates": "Say which client certificates are your robots', list and remove them.",
        "identity.revoke-certificates": "Revoke client certificates: administrators of the server.",
        "identity.device": "Begin to connect a device, ask for its key, see the page for it: everybody.",
        "identity.device-confirm": "Approve or deny a device's request for a key of your own.",
        "identity.publishers": "Say whose builds may publish, get and remove them: administrators of the repository.",
        "identity.exchange": "Exchange a build's token for one of a repository: everybody with a token that fits.",
        "identity.orgs": "Make organizations; their owners change members and teams, their members see them.",
        "identity.operate": "Manage users: administrators of the server.",
        "identity.invitations": "Invite users: administrators of the server.",
    },
    migrations="gati_extensions.identity.migrations",
    commands=[
        Command("user", "make a user, or change its password or standing", _user, _user_arguments),
        Command("signing-key", "replace the key that signs tokens", _signing_key, _signing_key_arguments),
    ],
)
