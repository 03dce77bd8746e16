"""Every role against every route: the core's table and all declared routes of all enabled extensions, through HTTP.

What is expected follows from the table of roles alone (`ROLES`), not from the code that decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gati_registry.domain.access import Action
from gati_registry.http.calls import Route
from tests.core.support import Answer, sha256
from tests.extensions.access.support import User, World, populate, world

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

ERASE = ("DELETE", "/v2/_ext/identity/me")

ACCOUNT = {Action.PING, Action.CATALOG, Action.SIGN_IN}


def expected(role: str, action: Action) -> str:
    """allowed, 401, 403, or 404 as if it were not there."""
    if action is Action.PUBLIC or (role == "operator"):
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


def core_cells(site: World) -> Iterator[tuple[str, str, Action]]:
    """Method, target and action of the core's own routes."""
    parts = {"<name>": REPOSITORY, "<digest>": ABSENT, "<reference>": ABSENT, "<id>": "nothing"}
    for resource in site.registry.endpoints.all():
        target = resource.pattern
        for part, value in parts.items():
            target = target.replace(part, value)
        for method, endpoint in resource.methods.items():
            # An existing thing where HEAD has no body to tell what is missing.
            existing = target.replace(ABSENT, "v1") if "/manifests/" in target and method == "HEAD" else target
            if method != "HEAD" or existing != target or ABSENT not in target:
                yield method, existing, endpoint.action


def extension_cells(site: World) -> Iterator[tuple[str, str, Action]]:
    """The same, of the extensions' routes."""
    for name, _, routes in site.registry.extensions.routes():
        for prefix, declared in (
            (f"/v2/_ext/{name}/", routes.registry),
            (f"/v2/{REPOSITORY}/_ext/{name}/", routes.repository),
            ("", routes.root),
        ):
            for route in declared:
                yield route.method, (prefix + filled(route)).rstrip("/"), route.permission.action


def filled(route: Route) -> str:
    """The route's path with something in place of each parameter; what the permission is on is there."""
    path = route.path
    for name in route.parameters:
        value = NAMESPACE if name == route.permission.on else ABSENT if name == "digest" else "nothing"
        path = path.replace(f"{{{name}:path}}", value).replace(f"{{{name}}}", value)
    return path


async def ask(user: User, method: str, target: str) -> Answer:
    """A request whose body is too little for any handler to do harm."""
    return await user.client.request(method, target, b"{}", {"Content-Type": "application/json"})


async def test_every_role_on_every_route(folder: Path) -> None:
    async with world(folder, extensions=None) as site:
        roles = ["reader", "contributor", "maintainer", "publisher", "admin"]
        await populate(site, "owner-x", "member-x", "stranger-x", *(f"{role}-x" for role in roles))
        owner = site.user("owner-x")
        assert (await owner.push(REPOSITORY)).status == 201
        for role in roles:
            await owner.done("PUT", f"namespaces/{NAMESPACE}/members/user/{role}-x", {"role": role})
        users = {role: site.user(f"{role}-x") for role in ROLES} | {"anonymous": site.nobody, "operator": site.admin}
        # Whoever erases the own account is nobody from then on: that comes last.
        cells = sorted([*core_cells(site), *extension_cells(site)], key=lambda cell: cell[:2] == ERASE)
        assert len(cells) > 60
        wrong = []
        for method, target, action in cells:
            if (method, target) == ERASE:  # nobody has broken anything so far
                assert (await owner.pull(REPOSITORY)).status == 200
            for role, user in users.items():
                answer = await ask(user, method, target)
                if seen(answer, method, action) != expected(role, action):
                    wrong.append((role, method, target, action.value, answer.status, answer.body))
        assert not wrong, "\n".join(map(str, wrong))


async def test_every_route_names_a_declared_permission(folder: Path) -> None:
    async with world(folder, extensions=None) as site:
        for extension, part in site.registry.extensions.parts:
            for route in (*part.registry_routes, *part.repository_routes, *part.root_routes):
                assert extension.permissions[route.permission.name], (extension.name, route.path)
