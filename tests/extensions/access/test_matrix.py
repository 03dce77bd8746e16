"""Every role and every kind of credential against every route: the core's table and all declared routes of all enabled
extensions, through HTTP. A route that is added is in here by itself; one of an action that no table knows fails.

What is expected follows from the tables of roles and credentials alone (`ROLES`, `BOUNDS`), not from the code that
decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gati_registry.domain.access import Action
from gati_registry.http.calls import Route
from tests.core.support import Answer, sha256
from tests.extensions.access.support import PASSWORD, User, World, peopled, populate, world

pytestmark = pytest.mark.anyio

NAMESPACE, REPOSITORY = "orgs/acme", "orgs/acme/app"
ABSENT = sha256(b"absent")

READ = {Action.PULL}
DRAFT = READ | {Action.PUSH}
MAINTAIN = DRAFT | {Action.MAINTAIN}
WRITE = MAINTAIN | {Action.PUBLISH, Action.DELETE}
OWN = WRITE | {Action.ADMINISTER}

ROLES = {
    "anonymous": set(), "stranger": set(), "reader": READ, "contributor": DRAFT, "maintainer": MAINTAIN,
    "publisher": WRITE, "admin": OWN, "owner": OWN, "member": READ, "operator": OWN,
}  # fmt: skip
"""What each may do in a private namespace. Owner and member are of the organization, the operator is the server's."""

ACCOUNT = {Action.PING, Action.CATALOG, Action.SIGN_IN}

REPOSITORY_ACTIONS = {*OWN}

KEY = {Action.PING, Action.SIGN_IN}
KEY_READ = KEY | {Action.PULL, Action.CATALOG}
KEY_PUBLISH = KEY_READ | {Action.PUSH, Action.MAINTAIN, Action.PUBLISH}
KEY_ADMIN = KEY_PUBLISH | {Action.DELETE, Action.ADMINISTER}

BOUNDS: dict[str, tuple[str, set[Action], str]] = {
    "key-read": ("admin", KEY_READ, ""),
    "key-publish": ("admin", KEY_PUBLISH, ""),
    "key-elsewhere": ("admin", KEY_ADMIN, "users/keyed-x"),
    "key-here": ("admin", KEY_ADMIN, REPOSITORY),
    "key-admin": ("admin", KEY_ADMIN, ""),
    "key-of-operator": ("operator", KEY_ADMIN, ""),
    "token-pull": ("admin", {Action.PING, Action.PULL}, REPOSITORY),
    "token-nothing": ("admin", {Action.PING}, ""),
    "capability": ("admin", {Action.PING, Action.PULL, Action.PUSH}, NAMESPACE),
    "robot": ("member", KEY_PUBLISH, ""),
    "robot-publisher": ("publisher", KEY_PUBLISH, ""),
    "session": ("publisher", set(Action), ""),
}
"""Whose rights a credential has, and what it may at most be used for, at and below which path."""

LAST = (("DELETE", "/v2/_ext/identity/me"), ("POST", "/v2/_ext/identity/logout"))
"""Whoever erases the own account, or logs out, is nobody from then on."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A route with something in its path's place, and what must be allowed on what."""

    method: str
    target: str
    action: Action
    resource: str | None

    @property
    def order(self) -> int:
        """When to ask."""
        key = (self.method, self.target)
        return LAST.index(key) if key in LAST else -1


def expected(role: str, cell: Cell) -> str:
    """allowed, 401, 403, or 404 as if it were not there."""
    action = cell.action
    assert action in ACCOUNT | REPOSITORY_ACTIONS | {Action.PUBLIC, Action.OPERATE}, f"which roles may {action}?"
    if action is Action.PUBLIC:
        return "allowed"
    if role in BOUNDS:
        role, allowed, path = BOUNDS[role]
        within = not path or action not in REPOSITORY_ACTIONS or f"{cell.resource}/".startswith(f"{path}/")
        if action not in allowed or not within or (path and action is Action.CATALOG):
            return "401"
    if role == "operator":
        return "allowed"
    if role == "anonymous":
        return "401"
    if action in ACCOUNT:
        return "allowed"
    if action is Action.OPERATE:
        return "403"
    if action in ROLES[role]:
        return "allowed"
    return "403" if ROLES[role] else "404"


def seen(answer: Answer, method: str, action: Action) -> str:
    """The same, of an answer. What a handler says of its own, is allowed."""
    if answer.status == 401 and action is not Action.PUBLIC:  # logging in with nothing is refused by its handler
        return "401"
    if method == "HEAD":
        return str(answer.status) if answer.status in (403, 404) else "allowed"
    if answer.status in (403, 404) and answer.headers.get("content-type") == "application/json":
        error = answer.json()["errors"][0]
        detail = error.get("detail") or {}
        if error["code"] == "DENIED" and set(detail) == {"action", "resource"}:
            return "403"
        if error["code"] == "NAME_UNKNOWN":
            return "404"
    return "allowed"


def core_cells(site: World, repository: str = REPOSITORY) -> Iterator[Cell]:
    """The core's own routes."""
    parts = {"<name>": repository, "<digest>": ABSENT, "<reference>": ABSENT, "<id>": "nothing"}
    for found in site.registry.endpoints.all():
        target = found.pattern
        for part, value in parts.items():
            target = target.replace(part, value)
        for method, endpoint in found.methods.items():
            # An existing thing where HEAD has no body to tell what is missing.
            existing = target.replace(ABSENT, "v1") if "/manifests/" in target and method == "HEAD" else target
            if method != "HEAD" or existing != target or ABSENT not in target:
                resource = repository if "<name>" in found.pattern else None
                yield Cell(method, existing, endpoint.action, resource)


def extension_cells(site: World, repository: str = REPOSITORY, namespace: str = NAMESPACE) -> Iterator[Cell]:
    """The extensions' routes."""
    for name, _, routes in site.registry.extensions.routes():
        for prefix, declared in (
            (f"/v2/_ext/{name}/", routes.registry),
            (f"/v2/{repository}/_ext/{name}/", routes.repository),
            ("", routes.root),
        ):
            for route in declared:
                target = (prefix + filled(route, namespace)).rstrip("/")
                resource = namespace if route.permission.on else repository if repository in prefix else None
                yield Cell(route.method, target, route.permission.action, resource)


def filled(route: Route, namespace: str) -> str:
    """The route's path with something in place of each parameter; what the permission is on is there."""
    path = route.path
    for name in route.parameters:
        value = namespace if name == route.permission.on else ABSENT if name == "digest" else "nothing"
        path = path.replace(f"{{{name}:path}}", value).replace(f"{{{name}}}", value)
    return path


async def ask(user: User, method: str, target: str) -> Answer:
    """A request whose body is too little for any handler to do harm."""
    return await user.client.request(method, target, b"{}", {"Content-Type": "application/json"})


async def credentials(site: World) -> dict[str, User]:
    """All of `BOUNDS`."""
    keyed, owner = site.user("keyed-x"), site.user("owner-x")

    async def key(of: User, *scopes: str, **more: str) -> User:
        made = await of.done("POST", "identity/keys", {"name": "k", "scopes": list(scopes), **more})
        return site.bearer(made["key"])

    robots = {}
    for name in ("reads", "writes"):
        made = await owner.done("POST", "identity/robots", {"owner": "acme", "name": name})
        robots[name] = await key(owner, "publish", account=made["name"])
    await owner.done("PUT", f"namespaces/{NAMESPACE}/members/robot/acme+writes", {"role": "publisher"})
    cap = {"actions": ["pull", "push"], "path": NAMESPACE}
    capability = await keyed.done("POST", "access/capabilities", {"cap": [cap]})
    login = await site.nobody.post("identity/login", {"name": "session-x", "password": PASSWORD})
    return {
        "key-read": await key(keyed, "read"),
        "key-publish": await key(keyed, "publish"),
        "key-elsewhere": await key(keyed, "admin", path="users/keyed-x"),
        "key-here": await key(keyed, "admin", path=REPOSITORY),
        "key-of-operator": await key(site.admin, "admin"),
        "token-pull": await site.token(keyed, f"repository:{REPOSITORY}:pull"),
        "token-nothing": await site.token(keyed, "repository:users/nobody/app:pull,push"),
        "capability": site.bearer(capability["token"]),
        "robot": robots["reads"],
        "robot-publisher": robots["writes"],
        "session": site.with_headers(
            {
                "Cookie": login.headers["set-cookie"].partition(";")[0],
                "X-CSRF-Token": login.json()["csrf_token"],
                "Sec-Fetch-Site": "same-origin",
            }
        ),
        "key-admin": await key(keyed, "admin"),  # may erase the account of the others
    }


async def inhabit(site: World) -> dict[str, User]:
    """Somebody for every row of the tables."""
    roles = ["reader", "contributor", "maintainer", "publisher", "admin"]
    names = ("owner-x", "member-x", "stranger-x", "keyed-x", "session-x", *(f"{role}-x" for role in roles))
    await populate(site, *names)
    owner = site.user("owner-x")
    assert (await owner.push(REPOSITORY)).status == 201
    given = {"keyed-x": "admin", "session-x": "publisher", **{f"{role}-x": role for role in roles}}
    for name, role in given.items():
        await owner.done("PUT", f"namespaces/{NAMESPACE}/members/user/{name}", {"role": role})
    users = await credentials(site)
    assert set(users) == set(BOUNDS)
    return users | {role: site.user(f"{role}-x") for role in ROLES} | {"anonymous": site.nobody, "operator": site.admin}


async def test_every_role_on_every_route(folder: Path) -> None:
    async with world(folder, extensions=None) as site:
        users, owner = await inhabit(site), site.user("owner-x")
        cells = sorted([*core_cells(site), *extension_cells(site)], key=lambda cell: cell.order)
        assert len(cells) > 60
        wrong = []
        for cell in cells:
            if cell.order == 0:  # nobody has broken anything so far
                assert (await owner.pull(REPOSITORY)).status == 200
            for role, user in users.items():
                answer = await ask(user, cell.method, cell.target)
                if cell.order == 1 and role == "session":
                    continue  # its account is no more
                if seen(answer, cell.method, cell.action) != expected(role, cell):
                    wrong.append((role, cell, answer.status, answer.body))
        assert not wrong, "\n".join(map(str, wrong))


@pytest.mark.parametrize("caller", ["anonymous", "stranger"])
async def test_private_and_absent_are_the_same_on_every_route(folder: Path, caller: str) -> None:
    """Status, headers and body, of a private repository in a private namespace and of names that nobody has."""
    pairs = [("orgs/acme", "orgs/acmf", "app", "app"), ("orgs/acme", "orgs/acme", "app", "apq")]
    async with peopled(folder, None, "owner-x", "member-x", "stranger-x", extensions=None) as site:
        assert (await site.user("owner-x").push(REPOSITORY)).status == 201
        await site.user("owner-x").done("PUT", f"namespaces/{NAMESPACE}", {"description": "secret"})
        user = site.nobody if caller == "anonymous" else site.user("stranger-x")
        wrong, asked = [], 0
        for there, away, name, other in pairs:
            cells = [
                [*core_cells(site, f"{space}/{last}"), *extension_cells(site, f"{space}/{last}", space)]
                for space, last in ((there, name), (away, other))
            ]
            for found, absent in zip(*cells, strict=True):
                if found.resource is None:
                    continue
                asked += 1
                answers = [await ask(user, cell.method, cell.target) for cell in (found, absent)]
                shown = [
                    told(answer, space, f"{space}/{last}")
                    for answer, space, last in zip(answers, (there, away), (name, other), strict=True)
                ]
                if shown[0] != shown[1]:
                    wrong.append((found, *shown))
        assert asked > 50
        assert not wrong, "\n".join(map(str, wrong))


def told(answer: Answer, namespace: str, repository: str) -> tuple[int, dict[str, str], bytes]:
    """What an answer tells, but for the names that were asked for."""

    def bare(text: str) -> str:
        return text.replace(repository, "<repository>").replace(namespace, "<namespace>")

    headers = {name: bare(value) for name, value in answer.headers.items()}
    return answer.status, headers, bare(answer.body.decode()).encode()


async def test_no_route_takes_a_forged_request_of_a_browser(folder: Path) -> None:
    """With the cookie alone, or sent from another site, nothing that changes something is done on any route."""
    async with world(folder, extensions=None) as site:
        users = await inhabit(site)
        session = users["session"].client.headers
        forged = [
            {"Cookie": session["Cookie"]},
            {"Cookie": session["Cookie"], "Sec-Fetch-Site": "same-origin"},
            {**session, "Sec-Fetch-Site": "cross-site", "Origin": "http://registry.test"},
            {**session, "Sec-Fetch-Site": "same-site"},
        ]
        wrong = []
        for cell in [*core_cells(site), *extension_cells(site)]:
            if cell.method in ("GET", "HEAD"):
                continue
            for headers in forged:
                answer = await ask(site.with_headers(headers), cell.method, cell.target)
                if answer.status != 403 or answer.codes != ["DENIED"]:
                    wrong.append((cell, answer.status, answer.body))
        assert not wrong, "\n".join(map(str, wrong))
        assert (await users["session"].get("identity/me")).status == 200


async def test_every_route_names_a_declared_permission(folder: Path) -> None:
    async with world(folder, extensions=None) as site:
        for extension, part in site.registry.extensions.parts:
            for route in (*part.registry_routes, *part.repository_routes, *part.root_routes):
                assert extension.permissions[route.permission.name], (extension.name, route.path)
