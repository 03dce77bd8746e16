"""Who the caller is, for each host: what keeps credentials implements one method."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from gati_client.errors import Usage


@dataclass(frozen=True, slots=True)
class Credential:
    """A user with a password, or a token (an API key, an identity token); its repr shows no secret."""

    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Refuse what no header can hold here, where nobody repeats it: what sends it would, in its error.

        Raises:
            Usage: the token holds blanks, control characters or letters beyond ASCII.
        """
        if not all("!" <= letter <= "~" for letter in self.token):
            raise Usage("the token holds characters that no token has, such as line ends or blanks",
                        remedy="copy it once more; GATI_TOKEN or --token may hold the token alone")  # fmt: skip


class Credentials(Protocol):
    """Where credentials are kept."""

    async def get(self, host: str) -> Credential | None:
        """What is kept for `host` (`registry.example`, `127.0.0.1:5000`); None: nobody in particular."""
        ...


@dataclass(frozen=True, slots=True)
class StaticCredentials:
    """The same for one host, and nothing for others."""

    host: str
    credential: Credential = field(repr=False)

    async def get(self, host: str) -> Credential | None:
        """What was given, for the host that it was given for."""
        return self.credential if host == self.host else None
