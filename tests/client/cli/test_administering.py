"""Namespaces, organizations and keys; the fields of their results are pinned here."""

from __future__ import annotations

import json
import secrets
from typing import Any

from tests.client.cli.conftest import sign_up
from tests.clients.client import Client
from tests.clients.registry import Registry


def asked(gati: Client, *arguments: str) -> Any:
    """A result, as scripts read it."""
    return json.loads(gati(*arguments, "--output", "json"))


def test_an_organization_and_its_namespace(site: Registry, gati: Client, user: str) -> None:
    org, other = f"o{secrets.token_hex(4)}", sign_up(site)
    made = asked(gati, "org", "create", org, "--display", "Acme")
    assert set(made) == {"name", "kind", "display", "url", "email", "admin", "active", "namespace", "created_at"}
    assert (made["namespace"], made["display"]) == (f"orgs/{org}", "Acme")
    assert gati.run("org", "create", org)[0] == 5
    assert org in [row["name"] for row in asked(gati, "org", "list")]
    gati("org", "member-add", org, other, "--role", "member")
    assert {row["name"]: row["role"] for row in asked(gati, "org", "members", org)} == {user: "owner", other: "member"}

    path = f"orgs/{org}/team"
    made = asked(gati, "namespace", "create", f"@{org}/team", "--visibility", "public", "--label", "tier=gold")
    assert (made["path"], made["visibility"], made["labels"]) == (path, "public", {"tier": "gold"})
    assert asked(gati, "namespace", "get", path) == made
    assert path in [row["path"] for row in asked(gati, "namespace", "list")]
    assert [row["path"] for row in asked(gati, "namespace", "list", f"@{org}") if row["path"] != f"orgs/{org}"] == [
        path
    ]

    members = asked(gati, "namespace", "members", path, "--set", f"{other}=publisher")
    assert [(row["name"], row["kind"], row["role"]) for row in members if row["path"] == path] == [
        (other, "user", "publisher")
    ]
    members = asked(gati, "namespace", "members", path, "--remove", other)
    assert not [row for row in members if row["path"] == path]

    (found,) = asked(gati, "namespace", "policy", path, "kinds.versions", "--enforcement", "warn")
    assert (found["name"], found["enforcement"], found["path"]) == ("kinds.versions", "warn", path)
    # Half of it changed leaves the other half.
    asked(gati, "namespace", "policy", path, "kinds.versions", "--body", '{"kinds": ["module"]}')
    (found,) = asked(gati, "namespace", "policy", path, "kinds.versions", "--enforcement", "enforce")
    assert (found["enforcement"], found["body"]) == ("enforce", {"kinds": ["module"]})
    (found,) = asked(gati, "namespace", "policy", path, "kinds.versions", "--body", "{}")
    assert (found["enforcement"], found["body"]) == ("enforce", {})
    gati("namespace", "policy", path, "kinds.versions", "--remove")
    assert "kinds.versions" not in [row["name"] for row in asked(gati, "namespace", "policy", path)]

    quota = asked(gati, "namespace", "quota", path)
    assert set(quota) >= {"path", "bytes", "artifacts", "bandwidth", "calls", "month"}
    code, out, err = gati.run("namespace", "quota", path, "--artifacts", "3")
    assert (code, out) in ((4, ""), (0, out)), err  # whether owners may is the operator's choice

    entries = asked(gati, "namespace", "audit", path, "--limit", "5")
    assert user in {entry["actor"] for entry in entries}
    gati("namespace", "delete", path, "--yes")
    assert gati.run("namespace", "get", path)[0] in (0, 3)  # it inherits, or is not there

    assert gati.run("org", "delete", org)[0] == 2  # nobody to ask
    gati("org", "member-remove", org, other)
    gati("org", "delete", org, "--yes")
    assert gati.run("org", "get", org)[0] == 3


def test_keys(gati: Client) -> None:
    made = asked(gati, "key", "create", "ci", "--scope", "publish", "--days", "30", "--path", "orgs/acme")
    assert set(made) == {
        "id", "account", "name", "scopes", "path", "created_at", "expires_at", "used_at", "key",
    }  # fmt: skip
    assert (made["scopes"], made["path"]) == (["publish"], "orgs/acme")
    (listed,) = asked(gati, "key", "list")
    assert "key" not in listed
    gati("key", "revoke", made["id"], "--yes")
    assert asked(gati, "key", "list") == []
    assert gati.run("key", "revoke", made["id"], "--yes")[0] == 3
