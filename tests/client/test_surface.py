"""The public names of the SDK: whoever renames one changes this file, and the programs of others."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator
from typing import assert_type

import pytest

import gati_client
from gati_client import Client, SyncClient, errors
from gati_client.spaces.account import Account
from gati_client.spaces.advisories import Advisories
from gati_client.spaces.artifacts import Artifacts
from gati_client.spaces.audit import Audit
from gati_client.spaces.capabilities import Capabilities
from gati_client.spaces.keys import Keys
from gati_client.spaces.namespaces import Namespaces
from gati_client.spaces.orgs import Orgs
from gati_client.spaces.resolve import Resolve
from gati_client.spaces.search import Search
from gati_client.spaces.versions import Versions
from tests.client import blocking

NAMES = """BytesSource Client Conflict Credential Credentials Denied Descriptor DockerCredentials FileSource GatiError
Integrity Layer Manifest Name Network NotFound Patience Progress Project Source StaticCredentials SyncClient Usage"""

METHODS: dict[type, str] = {
    Client: """account advisories artifacts audit capabilities close features host keys namespaces orgs resolve
    search versions""",
    Account: """begin_device change_user delete delete_user device_token distrust_publisher end_login end_session
    explain logins me register sessions set_password trust_publisher trusted_publishers update user users""",
    Advisories: "decide get list put submit withdraw",
    Artifacts: """blob copy delete digest download download_all export_layout has_blob import_layout manifest
    mount_blob push put_blob put_blobs put_manifest referrers repositories tags""",
    Audit: "checkpoint consistency entries inclusion keys",
    Capabilities: "delegate give_up issue list revoke",
    Keys: "create list revoke rotate",
    Namespaces: """delete delete_member delete_policy delete_quota delete_role drafts get list members policies
    publish_draft put put_member put_policy put_quota put_role quota roles transfer unverify verifications verify""",
    Orgs: """create create_robot create_team delete delete_member delete_robot delete_team delete_team_member get list
    members put_member put_team_member robots team_members teams update""",
    Resolve: "conflicts dependents drawing graph solve",
    Search: "downloads find suggest types",
    Versions: """archive artifact artifacts channels deprecate get history kinds list moves promote publish put_schema
    rate ratings restore schema schemas star starred types undeprecate unpublish unstar unyank update yank""",
}

CODES = {"GatiError": 1, "Usage": 2, "NotFound": 3, "Denied": 4, "Conflict": 5, "Integrity": 6, "Network": 7}


def test_names() -> None:
    assert sorted(gati_client.__all__) == sorted(NAMES.split())
    for name in gati_client.__all__:
        assert getattr(gati_client, name) is not None
    with pytest.raises(AttributeError):
        _ = gati_client.nothing


@pytest.mark.parametrize("kind", METHODS, ids=lambda kind: kind.__name__)
def test_methods(kind: type) -> None:
    """Each is there, and each says what it does."""
    found = {
        name: member
        for name, member in inspect.getmembers(kind)
        if not name.startswith("_") and name not in ("needs", "model_config")
    }
    assert sorted(found) == sorted(METHODS[kind].split())
    assert all(inspect.getdoc(member) for member in found.values())


def test_the_blocking_client_has_the_same_namespaces() -> None:
    with SyncClient("127.0.0.1:1") as client:
        for kind, methods in METHODS.items():
            if kind is not Client:
                space = getattr(client, kind.__name__.lower())
                assert set(methods.split()) <= set(dir(space))


def test_the_blocking_client_has_types() -> None:
    """Whoever changes a namespace runs `python -m tests.client.blocking`."""
    assert blocking.TARGET.read_text() == blocking.source()


def typed(client: SyncClient, other: Client) -> None:
    """Never run: `make lint` checks that a type checker sees what comes back, and what may go in."""
    assert_type(client.artifacts.digest("a", "b"), str | None)
    assert_type(client.artifacts.tags("a"), Iterator[str])
    assert_type(client.versions.get("a", "1.0.0").digest, str)
    assert_type(next(client.keys.list()).scopes, list[str])
    client.artifacts.copy(client, "a", "b", "c", None)
    client.artifacts.copy(other, "a", "b", "c", None)
    client.keys.revoke(5)  # type: ignore[arg-type]  # and that it sees what may not


def test_exit_codes() -> None:
    kinds = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}
    assert {name: kind.exit_code for name, kind in kinds.items() if issubclass(kind, errors.GatiError)} == CODES


def test_what_is_not_needed_is_not_imported() -> None:
    """A command that asks nobody pays for neither HTTP nor models."""
    code = "import sys, gati_client, gati_client.errors, gati_client.names; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"httpx", "pydantic", "ssl", "gati_registry"} & set(loaded)
