"""The administrator's password: the only way in before there are other identities."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gati_registry.auth.admin import FACT, AdminAuthorizer, hash_password, verify_password
from gati_registry.bootstrap import Registry, prepare
from gati_registry.domain.access import ANONYMOUS, Access, Action, Decision, Identity
from gati_registry.settings import Settings, SettingsError
from tests.core.support import Client, FakeClock, configure, registry

pytestmark = pytest.mark.anyio

PASSWORD = "correct: höchst geheim"


def basic(user: str, password: str, scheme: str = "Basic") -> dict[str, str]:
    """The header of these credentials."""
    return {"Authorization": f"{scheme} " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture
def settings(folder: Path, tmp_path: Path) -> Settings:
    """Settings that name a password file."""
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\nthe rest is not looked at\n", encoding="utf-8")
    return configure(folder, open=False).model_copy(update={"admin_password_file": file})


@pytest.fixture
async def guarded(settings: Settings, clock: FakeClock) -> AsyncIterator[Registry]:
    """A registry that has been started once."""
    assert await prepare(settings) == []
    async with registry(settings.data, clock, settings) as built:
        yield built


async def test_the_password_opens_everything(guarded: Registry) -> None:
    for scheme in ("Basic", "basic", "BASIC"):
        client = Client(guarded.app, basic("admin", PASSWORD, scheme))
        assert (await client.get("/v2/")).status == 200
        assert (await client.push_blob("a/b", b"x")).status == 201


@pytest.mark.parametrize(
    "header",
    [
        basic("admin", PASSWORD + "x"),
        basic("admin", ""),
        basic("Admin", PASSWORD),
        basic("", PASSWORD),
        {"Authorization": "Basic " + base64.b64encode(b"admin").decode()},
        {"Authorization": "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode()},
        {"Authorization": "Basic ===="},
        {"Authorization": "Basic ÿé"},
        {"Authorization": "Basic"},
        {"Authorization": ""},
        {"Authorization": "Bearer " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode()},
        {"Authorization": "Negotiate x, " + basic("admin", PASSWORD)["Authorization"]},
    ],
    ids=lambda header: header["Authorization"][:30].encode("ascii", "replace").decode(),
)
async def test_anything_else_does_not(guarded: Registry, header: dict[str, str]) -> None:
    answer = await Client(guarded.app, header).get("/v2/")
    assert (answer.status, answer.codes) == (401, ["UNAUTHORIZED"])
    assert answer.headers["www-authenticate"] == 'Basic realm="gati", charset="UTF-8"'
    assert PASSWORD not in answer.body.decode()


async def test_a_wrong_password_stays_wrong_after_the_right_one(guarded: Registry) -> None:
    right, wrong = Client(guarded.app, basic("admin", PASSWORD)), Client(guarded.app, basic("admin", "wrong"))
    for _ in range(2):
        assert [(await right.get("/v2/")).status, (await wrong.get("/v2/")).status] == [200, 401]


async def test_a_password_that_changed_is_asked_again(guarded: Registry, settings: Settings, clock: FakeClock) -> None:
    """Whoever was let in before, in this worker or another, is not let in with the old one."""
    async with registry(settings.data, clock, settings) as another:
        old, new = basic("admin", PASSWORD), basic("admin", "another password")
        workers = [guarded.app, another.app]
        assert [(await Client(app, old).get("/v2/")).status for app in workers] == [200, 200]
        hashed = hash_password("another password")
        await another.metadata.write(lambda tx: tx.leases.set_fact(FACT, hashed))
        assert [(await Client(app, old).get("/v2/")).status for app in workers] == [401, 401]
        assert [(await Client(app, new).get("/v2/")).status for app in workers] == [200, 200]


async def test_it_is_stored_as_a_slow_hash_only(guarded: Registry, settings: Settings) -> None:
    stored = await guarded.metadata.read(lambda tx: tx.leases.get_fact(FACT))
    assert stored is not None
    assert stored.startswith("scrypt$32768$8$1$")
    for file in settings.data.rglob("*"):
        if file.is_file():
            assert PASSWORD.encode() not in file.read_bytes(), file


def test_the_same_password_has_many_hashes() -> None:
    first, second = hash_password(PASSWORD), hash_password(PASSWORD)
    assert first != second
    assert verify_password(PASSWORD, first)
    assert not verify_password(PASSWORD + " ", second)


async def test_only_the_first_start_sets_it(settings: Settings, guarded: Registry) -> None:
    assert settings.admin_password_file is not None
    settings.admin_password_file.write_text("quite another one")
    assert await prepare(settings) == []
    assert (await Client(guarded.app, basic("admin", PASSWORD)).get("/v2/")).status == 200
    settings.admin_password_file.unlink()
    with pytest.raises(SettingsError, match="admin_password_file"):
        await prepare(settings)


async def test_without_a_file_it_is_made_up_and_told_once(folder: Path) -> None:
    settings = configure(folder, open=False)
    told = await prepare(settings)
    password = told[0].rpartition(" ")[2]
    assert len(password) >= 20
    assert await prepare(settings) == []
    async with registry(folder, settings=settings) as built:
        assert (await Client(built.app, basic("admin", password)).get("/v2/")).status == 200


@pytest.mark.parametrize(
    "content", [b"short", b"", b"\nsecond line is not the password", b"\xff\xff\xff\xff\xff\xff\xff\xff"]
)
async def test_an_unusable_file_stops_the_start(settings: Settings, content: bytes) -> None:
    assert settings.admin_password_file is not None
    settings.admin_password_file.write_bytes(content)
    with pytest.raises(SettingsError, match="admin_password_file") as caught:
        await prepare(settings)
    assert "short" not in str(caught.value) or content != b"short"
    async with registry(settings.data, settings=settings) as built:
        assert await built.metadata.read(lambda tx: tx.leases.get_fact(FACT)) is None


async def test_an_open_registry_takes_anybody_and_has_no_password(folder: Path) -> None:
    settings = configure(folder)
    assert await prepare(settings) == []
    async with registry(folder, settings=settings) as built:
        for header in ({}, basic("admin", "whatever"), {"Authorization": "Bearer left-over"}):
            assert (await Client(built.app, header).get("/v2/")).status == 200
        assert await built.metadata.read(lambda tx: tx.leases.get_fact(FACT)) is None


async def test_who_is_known_and_no_administrator_is_denied_not_challenged() -> None:
    authorizer, access = AdminAuthorizer(), Access(Action.PULL, "a")
    assert await authorizer.decide(ANONYMOUS, access) is Decision.CHALLENGE
    assert await authorizer.decide(Identity("somebody"), access) is Decision.DENY
    assert await authorizer.decide(Identity("admin", admin=True), access) is Decision.ALLOW
