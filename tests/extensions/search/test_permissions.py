"""Nobody is shown what they may not pull: not in lists, versions, graphs, reverse dependencies, searches or counts.

Artifacts of mixed visibility are pushed, changed, renamed and deleted at random; after every few changes each caller
asks everywhere. Whatever repository, digest or tag an answer names, the caller must be able to pull at that moment: the
oracle is a plain GET of the manifest.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.core.support import Answer, FakeClock
from tests.extensions.access.support import User, World, peopled
from tests.extensions.kinds.support import BASE, push
from tests.extensions.search.support import EXTENSIONS, indexed

pytestmark = pytest.mark.anyio


@pytest.fixture
async def site(folder: Path, clock: FakeClock) -> AsyncIterator[World]:
    """A registry with search in it."""
    async with peopled(
        folder, clock, "alice", "bob", "carol", "dave", "erin", extensions=f"{EXTENSIONS},resolve"
    ) as built:
        yield built


SEEDS = int(os.environ.get("GATI_PERMISSION_SEEDS", "2"))
ROUNDS, CHANGES = 4, 8

NAMESPACES = {"orgs/acme": "alice", "orgs/beta": "dave", "users/alice": "alice", "users/carol": "carol"}
"""Whose they are. Erin may push drafts to all of them."""
NAMES = ("log", "logs", "auth", "x/log", "x/secret")
WORDS = ("kestrel", "heron", "wren")


@dataclass
class Known:
    """All that was ever pushed: digests and tags by repository, under its present name."""

    digests: dict[str, set[str]] = field(default_factory=dict)
    tags: dict[str, set[str]] = field(default_factory=dict)

    def add(self, repository: str, digest: str, tag: str) -> None:
        """One more."""
        self.digests.setdefault(repository, set()).add(digest)
        self.tags.setdefault(repository, set()).add(tag)

    def rename(self, source: str, target: str) -> None:
        """A repository has another name."""
        for table in (self.digests, self.tags):
            table.setdefault(target, set()).update(table.pop(source, set()))


class Pulls:
    """What a caller can pull now."""

    def __init__(self, user: User, known: Known) -> None:
        self._user = user
        self._known = known
        self._found: dict[tuple[str, str], bool] = {}

    async def digest(self, repository: str, digest: str) -> bool:
        """Whether this one."""
        key = (repository, digest)
        if key not in self._found:
            answer = await self._user.client.get(f"/v2/{repository}/manifests/{digest}", Accept="*/*")
            assert answer.status in (200, 401, 403, 404), answer
            self._found[key] = answer.status == 200
        return self._found[key]

    async def any(self, repository: str) -> bool:
        """Whether anything of a repository."""
        return any(
            [await self.digest(repository, digest) for digest in sorted(self._known.digests.get(repository, ()))]
        )


Shown = AsyncIterator[tuple[str, str, str | None]]
"""(where, repository, digest) of what an answer names."""


class Scene:
    """A registry in which things happen."""

    def __init__(self, site: World, seed: int) -> None:
        self.site = site
        self.chance = random.Random(seed)
        self.known = Known()
        self.callers: dict[str, User] = {}
        self.told: list[str] = []

    async def start(self) -> None:
        """People, their roles and credentials."""
        site = self.site
        await site.user("dave").done("POST", "identity/orgs", {"name": "beta"})
        for path, owner in NAMESPACES.items():
            await site.user(owner).done("PUT", f"namespaces/{path}/members/user/erin", {"role": "contributor"})
        for _ in range(10):
            await self.push()
        self.callers = {
            "admin": site.admin, "nobody": site.nobody,
            **{name: site.user(name) for name in ("alice", "bob", "carol", "dave", "erin")},
        }  # fmt: skip
        for owner, path in (("alice", "orgs/acme/x"), ("alice", "orgs/acme/log"), ("bob", ""), ("admin", "orgs/beta")):
            made = await self.callers[owner].done(
                "POST", "identity/keys", {"name": "k", "scopes": ["read"], "path": path}
            )
            self.callers[f"key of {owner} for {path}"] = site.bearer(made["key"])
        one = "orgs/acme/log"
        self.callers["token of alice"] = await site.token(site.user("alice"), f"repository:{one}:pull")
        cap = {"cap": [{"actions": ["pull"], "path": "orgs/acme"}], "delegable": True, "max_delegation_depth": 2}
        whole = (await site.user("alice").done("POST", "access/capabilities", cap))["token"]
        part = {"token": whole, "cap": [{"actions": ["pull"], "path": one}]}
        narrow = (await site.nobody.done("POST", "access/capabilities/delegate", part))["token"]
        self.callers |= {"capability": site.bearer(whole), "narrower capability": site.bearer(narrow)}

    # --- changes ------------------------------------------------------------------------------------------------

    async def change(self) -> None:
        """One of many."""
        kinds: list[Callable[[], Awaitable[Answer | None]]] = [
            self.push, self.push, self.push, self.draft, self.draft, self.visibility, self.visibility, self.state,
            self.state, self.member, self.publish, self.move, self.delete, self.untag, self.deny,
        ]  # fmt: skip
        what = self.chance.choice(kinds)
        answer = await what()
        if answer is not None:
            assert answer.status < 500, answer
            self.told.append(f"{what.__name__} {answer.status}")

    def repository(self) -> str:
        """One that was pushed to, or that could be."""
        if self.known.digests and self.chance.random() < 0.6:
            return self.chance.choice(sorted(self.known.digests))
        return f"{self.chance.choice(sorted(NAMESPACES))}/{self.chance.choice(NAMES)}"

    def owner(self, repository: str) -> User:
        """Whose it is."""
        return self.site.user(NAMESPACES["/".join(repository.split("/")[:2])])

    async def push(self, by: str | None = None) -> Answer:
        """A version or a channel, with dependencies, types and a layer that others have too."""
        repository, chance = self.repository(), self.chance
        tag = chance.choice(["1.0.0", "1.1.0", "2.0.0", "2.0.0-beta.1", "stable", "edge"])
        config = {
            **BASE, "version": tag if tag[0].isdigit() else "0.1.0", "description": f"A {chance.choice(WORDS)}.",
            "title": chance.choice(WORDS), "keywords": [chance.choice(WORDS)], "license": chance.choice(["MIT", "ISC"]),
            "language": "python", "dependencies": {self.repository(): "*" for _ in range(chance.randrange(3))},
            "gtypes": {"input": {"fields": {chance.choice(WORDS): "string"}}, "output": "string"},
        }  # fmt: skip
        layer = (chance.choice([b"one", b"two"]), "application/octet-stream", "")
        user = self.site.user(by) if by is not None else self.owner(repository)
        answer = await push(user, repository, tag, "library", config, [layer])
        if answer.status == 201:
            self.known.add(repository, answer.headers["docker-content-digest"], tag)
        return answer

    async def draft(self) -> Answer:
        """A push of somebody whose pushes are drafts."""
        return await self.push("erin")

    async def visibility(self) -> Answer:
        """Of a namespace, or of a repository alone."""
        path = self.chance.choice([*NAMESPACES, "orgs/acme/x", self.repository()])
        level = self.chance.choice(["public", "private", "internal"])
        return await self.owner(path).put(f"namespaces/{path}", {"visibility": level})

    async def state(self) -> Answer:
        """Unpublish, deprecate, yank; and back."""
        repository = self.repository()
        tag = self.chance.choice(sorted(self.known.tags.get(repository, {"1.0.0"})))
        what = self.chance.choice(["unpublish", "unpublish", "unpublish", "publish", "deprecate", "yank", "unyank"])
        return await self.owner(repository).post(f"/v2/{repository}/_ext/kinds/versions/{tag}/{what}", {})

    async def member(self) -> Answer:
        """Somebody reads, or does not any more."""
        path = self.chance.choice([*NAMESPACES, "orgs/acme/x"])
        who = f"namespaces/{path}/members/user/{self.chance.choice(['bob', 'carol', 'dave'])}"
        return await (
            self.owner(path).put(who, {"role": "reader"})
            if self.chance.random() < 0.6
            else self.owner(path).delete(who)
        )

    async def deny(self) -> Answer:
        """A role that takes away."""
        path = self.chance.choice(["orgs/acme", "orgs/acme/x", "orgs/beta"])
        role = {"inherits": ["reader"], "permissions": [{"actions": ["pull"], "effect": "deny"}]}
        made = await self.owner(path).put(f"namespaces/{path}/roles/blind", role)
        if made.status >= 300:
            return made
        who = self.chance.choice(["bob", "carol", "dave"])
        return await self.owner(path).put(f"namespaces/{path}/members/user/{who}", {"role": "blind"})

    async def publish(self) -> Answer | None:
        """A draft becomes public."""
        repository = self.repository()
        owner = self.owner(repository)
        drafts = await owner.get(f"/v2/{repository}/_ext/namespaces/drafts")
        items = drafts.json()["items"] if drafts.status == 200 else []
        if not items:
            return None
        digest = self.chance.choice(items)["digest"]
        return await owner.post(f"/v2/{repository}/_ext/namespaces/drafts/{digest}/publish")

    async def move(self) -> Answer:
        """A repository gets another name, perhaps in another namespace."""
        source = self.repository()
        target = f"{self.chance.choice(sorted(NAMESPACES))}/moved{self.chance.randrange(1000)}"
        answer = await self.site.admin.post(f"namespaces/{source}/transfer", {"to": target})
        if answer.status < 300:
            for name in answer.json()["repositories"]:
                self.known.rename(source + name.removeprefix(target), name)
        return answer

    async def delete(self) -> Answer:
        """A manifest."""
        repository = self.repository()
        digest = self.chance.choice(sorted(self.known.digests.get(repository, {"sha256:" + "0" * 64})))
        return await self.owner(repository).call("DELETE", f"/v2/{repository}/manifests/{digest}")

    async def untag(self) -> Answer:
        """A tag."""
        repository = self.repository()
        tag = self.chance.choice(sorted(self.known.tags.get(repository, {"1.0.0"})))
        return await self.owner(repository).call("DELETE", f"/v2/{repository}/manifests/{tag}")

    # --- questions ----------------------------------------------------------------------------------------------

    async def check(self) -> int:
        """Everybody asks everywhere; how much was shown in all."""
        seen = 0
        for name, user in self.callers.items():
            pulls = Pulls(user, self.known)
            for repository in (await told(user, "GET", "/v2/_catalog") or {}).get("repositories", []):
                # Whoever makes a path public by name shows that name, even while there are only drafts.
                assert await told(user, "GET", f"/v2/{repository}/tags/list"), (
                    f"{name} sees {repository} in the catalogue"
                )
            async for where, repository, digest in self.shown(user):
                may = await (pulls.any(repository) if digest is None else pulls.digest(repository, digest))
                assert may, f"{name} sees {repository} {digest} in {where} after {self.told[-3 * CHANGES :]}"
                seen += 1
        return seen

    async def shown(self, user: User) -> Shown:
        """All that the endpoints show somebody."""
        for path in ("orgs", "users", "orgs/acme", "orgs/acme/x", "orgs/beta", "users/alice"):
            async for item in pages(user, f"kinds/namespaces/{path}/artifacts?limit=3"):
                yield f"artifacts of {path}", item["repository"], item["latest"]
        for repository in sorted(self.known.digests):
            async for one in self.of_repository(user, repository):
                yield one
        for some in (self.resolved(user), self.searched(user), self.by_type(user)):
            async for one in some:
                yield one

    async def of_repository(self, user: User, repository: str) -> Shown:
        """What is below a repository."""
        base = f"/v2/{repository}/_ext"
        found = await told(user, "GET", f"{base}/kinds/artifact")
        if found:
            yield "its page", repository, found["version"]["digest"]
            for digest in found["channels"].values():
                yield "its channels", repository, digest
            for other in [*found["similar_names"], *found["version"]["same_content"]]:
                yield f"the page of {repository}", other, None
        for what in ("versions", "channels"):
            async for item in pages(user, f"{base}/kinds/{what}?limit=2"):
                yield what, repository, item["digest"]
        for tag in sorted(self.known.tags[repository]):
            found = await told(user, "GET", f"{base}/kinds/versions/{tag}")
            if found:
                yield "a version", repository, found["digest"]
            async for item in pages(user, f"{base}/kinds/channels/{tag}/moves?limit=2"):
                for digest in (item["before"], item["after"]):
                    if digest is not None and await exists(self.site, repository, digest):
                        yield "moves of a tag", repository, digest
        async for item in pages(user, f"{base}/resolve/dependents?limit=2"):
            yield f"dependents of {repository}", item["repository"], item["digest"]
        graph = await told(user, "GET", f"{base}/resolve/graph?version=*")
        for node in graph["nodes"] if graph else []:
            yield f"the graph of {repository}", node.rpartition("@")[0], None

    async def resolved(self, user: User) -> Shown:
        """Resolutions of everything."""
        for repository in sorted(self.known.digests):
            for wanted in ("*", "stable"):
                found = await told(user, "POST", "resolve", {"requests": {repository: wanted}})
                for package in found["packages"] if found else []:
                    yield f"the resolution of {repository}", package["name"], package["digest"]

    async def searched(self, user: User) -> Shown:
        """Searches and suggestions; whatever is counted must be there to be seen."""
        for query in ("", "kestrel", "a", "kind:library", "NOT heron", 'keyword:wren OR "a heron"'):
            asked = {"q": query, "limit": 3}
            first = page = await told(user, "GET", f"search?{urlencode(asked)}")
            if page is None:
                continue
            hits = list(page["items"])
            while page["next"] is not None:
                page = await told(user, "GET", f"search?{urlencode({**asked, 'cursor': page['next']})}")
                hits += page["items"]
            for hit in hits:
                yield f"the search {query!r}", hit["repository"], hit["version"]
            assert first["total"] == len(hits), (query, first)
            counted = {one["value"]: one["count"] for one in first["facets"].get("kind", [])}
            assert counted == dict(Counter(hit["kind"] for hit in hits)), (query, first)
            assert all(one["count"] <= len(hits) for found in first["facets"].values() for one in found)
        for prefix in ("l", "lo", "auth", "ke", "mov"):
            found = await told(user, "GET", f"search/suggest?q={prefix}")
            for item in found["items"] if found else []:
                yield f"suggestions for {prefix}", item["repository"], None

    async def by_type(self, user: User) -> Shown:
        """Searches by signature."""
        takes = {"fields": dict.fromkeys(WORDS, "string")}
        async for item in posted(user, "search/types", {"takes": takes, "gives": "string", "limit": 2}):
            yield "a search by signature", item["repository"], item["digest"]
            yield "the version of a search by signature", item["repository"], item["version"]


async def posted(user: User, path: str, body: dict[str, Any]) -> AsyncIterator[Any]:
    """The items of all pages."""
    cursor: str | None = ""
    while cursor is not None:
        page = await told(user, "POST", path, {**body, "cursor": cursor})
        for item in page["items"] if page else []:
            yield item
        cursor = page["next"] if page else None


async def told(user: User, method: str, path: str, body: Any = None) -> Any:
    """The answer; None where it is refused."""
    answer = await user.call(method, path, body)
    assert answer.status < 500, answer
    return answer.json() if answer.status == 200 else None


async def pages(user: User, path: str) -> AsyncIterator[Any]:
    """The items of all pages."""
    cursor = ""
    while True:
        page = await told(user, "GET", f"{path}&cursor={cursor.replace(' ', '%20')}" if cursor else path)
        if page is None:
            return
        for item in page["items"]:
            yield item
        cursor = page["next"]
        if cursor is None:
            return


async def exists(site: World, repository: str, digest: str) -> bool:
    """Whether it is stored at all: what is gone can be named, but not pulled."""
    return (await site.admin.client.get(f"/v2/{repository}/manifests/{digest}", Accept="*/*")).status == 200


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(SEEDS))
async def test_nobody_is_shown_what_they_may_not_pull(site: World, clock: FakeClock, seed: int) -> None:
    scene = Scene(site, seed)
    await scene.start()
    await indexed(site)
    seen = await scene.check()
    for _ in range(ROUNDS):
        for _ in range(CHANGES):
            await scene.change()
            clock.advance(1.0)
            if scene.chance.random() < 0.2:
                await indexed(site)
        await indexed(site)
        seen += await scene.check()
    for path, owner in NAMESPACES.items():
        await site.user(owner).done("PUT", f"namespaces/{path}", {"visibility": "private"})
    seen += await scene.check()  # at once: the index did not follow yet
    assert seen > 500, "something was shown, and looked at"
