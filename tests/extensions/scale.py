"""One who sees few of many namespaces: what that costs is not to grow with how many there are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from bench.filling import content, namespace, repository, tag

from tests.core.support import sha256
from tests.extensions.access.support import PASSWORD, User, World

SEEN = 5
"""Namespaces whose member `few` is."""


class Few:
    """A member of some namespaces, spread over all."""

    def __init__(self, site: World, namespaces: int, held: int) -> None:
        self.numbers = [namespaces * turn // SEEN for turn in range(SEEN)]
        self._site = site
        self._held = held
        self._pushed = 0

    @property
    def user(self) -> User:
        """With a password."""
        return self._site.user("few", PASSWORD)

    async def join(self) -> None:
        """Make the user a publisher of its namespaces."""
        admin = self._site.admin
        await admin.done("POST", "identity/users", {"name": "few", "password": PASSWORD})
        for number in self.numbers:
            await admin.done("PUT", f"namespaces/{namespace(number)}/members/user/few", {"role": "publisher"})

    def operations(self) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
        """What is done again and again, each checked."""
        yield "catalog", self._catalog
        yield "pull", self._pull
        yield "push", self._push
        yield "refused", self._refused
        yield "explain", self._explain
        yield "quota", self._quota
        yield "namespace", self._namespace
        yield "list of namespaces", self._namespaces

    async def _catalog(self) -> None:
        found = (await self.user.get("/v2/_catalog?n=100")).json()["repositories"]
        assert found == [repository(number) for number in self.numbers]

    async def _pull(self) -> None:
        assert (await self.user.get(f"/v2/{repository(self.numbers[1])}/manifests/{tag(0)}")).status == 200

    async def _refused(self) -> None:
        assert (await self.user.get(f"/v2/{repository(self.numbers[1] + 1)}/manifests/{tag(0)}")).status == 404

    async def _push(self) -> None:
        self._pushed += 1
        (item, *_) = content(self.numbers[2], self._held)
        data = item.manifest.data.replace(b'"position":"0"', b'"position":"0 %d"' % self._pushed)
        assert (await self.user.client.push_manifest(repository(self.numbers[2]), sha256(data), data)).status == 201

    async def _explain(self) -> None:
        question = {"action": "push", "repository": repository(self.numbers[3]), "account": "few"}
        answer: Any = await self._site.admin.done("POST", "access/explain", question)
        assert answer["decision"] == "allow"

    async def _quota(self) -> None:
        self._pushed += 1
        limits = {"bytes": 1_000_000_000 + self._pushed}
        await self._site.admin.done("PUT", f"namespaces/{namespace(self.numbers[0])}/quota", limits)

    async def _namespace(self) -> None:
        found: Any = await self.user.done("GET", f"namespaces/{namespace(self.numbers[0])}")
        assert found["visibility"] == "private"

    async def _namespaces(self) -> None:
        found: Any = await self.user.done("GET", "namespaces?limit=50")
        assert found["next"] is not None or found["items"]
