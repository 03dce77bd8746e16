"""Who sends a request, and what they may do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from gati_registry.domain.access import Access, Decision, Identity, Visible
from gati_registry.domain.events import Refusal
from gati_registry.values.reference import RepositoryName


class Request(Protocol):
    """A request's outside, as far as it can tell who sent it."""

    @property
    def method(self) -> str:
        """GET, PUT, …"""

    @property
    def path(self) -> str:
        """The path as it was sent, percent-encoding and all."""

    @property
    def address(self) -> str:
        """The client's address, as far as proxies in front are trusted; empty if unknown."""

    @property
    def origin(self) -> str:
        """Scheme, host and port under which the client reached us: `https://registry.example`."""

    @property
    def certificate(self) -> bytes | None:
        """The client's certificate (DER), checked against the configured authority."""

    def header(self, name: bytes) -> str | None:
        """A header by its lower-case name."""


class Authenticator(Protocol):
    """Turns credentials into an identity."""

    async def authenticate(self, request: Request) -> Identity | None:
        """Who sent this; None where the request holds no credentials of this kind.

        Raises:
            RegistryError: UNAUTHORIZED, the credentials are of this kind and prove nothing.
        """


class Admission(Protocol):
    """Looks at each request after it was decided on and before it is answered: limits of rates and of use."""

    async def __call__(
        self, request: Request, identity: Identity, access: Access, decision: Decision
    ) -> Refusal | None:
        """Why the request is not answered now, if so. Microseconds, no I/O."""


class Alias(Protocol):
    """Knows earlier names of repositories."""

    async def __call__(self, name: RepositoryName) -> RepositoryName:
        """The name under which a repository is read now; the same if it has no other. Microseconds."""


class Authorizer(Protocol):
    """The one decision point."""

    async def decide(self, identity: Identity, access: Access) -> Decision:
        """Whether the identity may."""

    async def visible(self, identity: Identity) -> Visible:
        """Which repositories the identity may see."""

    def challenge(self, accesses: Sequence[Access], request: Request) -> str:
        """The `WWW-Authenticate` value that leads to credentials for these accesses."""


@runtime_checkable
class Steady(Protocol):
    """A capability of an authorizer that knows which of its decisions hold for every request alike."""

    def steady(self, identity: Identity, access: Access) -> bool:
        """Whether what was just decided holds for any request of this identity, as long as nobody commits anything.

        Then neither this nor authenticators are asked again, for requests with byte for byte the same head from the
        same address, for a quarter of a second.
        """
