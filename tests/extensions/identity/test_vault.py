"""Secrets in the database: sealed with a key that lies elsewhere, old rows too; keys replaced, lost, and wrong."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from gati_extensions.identity.vault import Vault
from gati_registry.bootstrap import prepare
from gati_registry.errors import RegistryError
from tests.core.support import FakeClock
from tests.extensions.identity.support import PASSWORD, Site, configured, key_file, prepared, worker
from tests.extensions.identity.test_sessions import log_in, second_factor

pytestmark = pytest.mark.anyio

ROWS = (
    "SELECT private, 'identity_signing_key:' || kid FROM identity_signing_key"
    " UNION ALL SELECT secret, 'identity_totp:' || account_id FROM identity_totp ORDER BY 2"
)


async def stored(site: Site) -> list[tuple[str, str]]:
    """(what is stored, of which row) of all secrets."""
    return [(str(row[0]), str(row[1])) for row in await site.registry.metadata.read(lambda tx: tx.all(ROWS))]


async def run(site: Site, sql: str, **values: Any) -> None:
    """Change the database behind the registry's back."""
    await site.registry.metadata.write(lambda tx: tx.run(sql, **values))


async def test_what_is_in_the_database_tells_nothing(site: Site, clock: FakeClock) -> None:
    totp, _ = await second_factor(site, clock)
    file = site.registry.settings.data / "identity.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    rows = await stored(site)
    assert len(rows) == 2
    vault = Vault(None, site.registry.settings.data)
    for text, about in rows:
        assert text.startswith("sealed:")
        assert totp.secret not in text
        assert "PRIVATE" not in text
        assert vault.open(text, about) is not None
        for other in ("", about + "1", rows[0][1] if about != rows[0][1] else rows[1][1]):
            assert vault.open(text, other) is None
        assert vault.open(text[:-4] + "AAA=", about) is None
    database = (site.registry.settings.data / "metadata.sqlite").read_bytes()
    assert file.read_bytes().strip() not in database


async def test_old_rows_are_sealed_at_the_start(folder: Path, clock: FakeClock) -> None:
    """And what they signed stays good."""
    settings = await prepared(folder, signup="open")
    async with worker(settings, clock) as site:
        totp, _ = await second_factor(site, clock)
        await site.nobody.sign_up("bob")
        token = (await site.user("bob").token())["token"]
        vault = Vault(None, settings.data)
        for text, about in await stored(site):  # as the version before left them
            table, _, row = about.partition(":")
            column, name = ("secret", "account_id") if table == "identity_totp" else ("private", "kid")
            await run(
                site,
                f"UPDATE {table} SET {column} = :text WHERE CAST({name} AS TEXT) = :row",
                text=vault.open(text, about),
                row=row,
            )
    (settings.data / "identity.key").unlink()
    assert await prepare(settings) == []
    async with worker(settings, clock) as site:
        assert [text.startswith("sealed:") for text, _ in await stored(site)] == [True, True]
        assert (await site.bearer(token).get("/v2/")).status == 200
        clock.advance(30)
        await log_in(site, code=totp.at(clock.now() // 1000))


async def test_the_key_is_replaced(folder: Path, clock: FakeClock) -> None:
    """A line above: what is there is sealed anew; then the old line can go."""
    first, second = key_file(folder / "first").read_text(), key_file(folder / "second").read_text()
    file = folder / "key"
    file.write_text(first)
    settings = await prepared(folder, signup="open", secret_key_file=str(file))
    async with worker(settings, clock) as site:
        totp, _ = await second_factor(site, clock)
        before = await stored(site)
    assert not (settings.data / "identity.key").exists()
    for text in (second + first, second):
        file.write_text(text)
        assert await prepare(settings) == []
    async with worker(settings, clock) as site:
        after = await stored(site)
        assert {text.split(":")[1] for text, _ in before}.isdisjoint({text.split(":")[1] for text, _ in after})
        clock.advance(30)
        await log_in(site, code=totp.at(clock.now() // 1000))
    file.write_text(first)
    with pytest.raises(RegistryError, match=r"identity\.secret_key_file: does not open"):
        await prepare(settings)


async def test_the_key_is_lost(folder: Path, clock: FakeClock) -> None:
    """The registry starts and says so: tokens have ended, recovery codes still let people in; put back, all is well."""
    settings = await prepared(folder, signup="open")
    async with worker(settings, clock) as site:
        totp, codes = await second_factor(site, clock)
        await site.nobody.sign_up("bob")
        token = (await site.user("bob").token())["token"]
    file = settings.data / "identity.key"
    kept = file.read_text()
    file.unlink()
    [line] = await prepare(settings)
    assert "1 signing keys and 1 one-time secrets" in line
    async with worker(settings, clock) as site:
        assert (await site.bearer(token).get("/v2/")).status == 401
        fresh = (await site.user("bob").token())["token"]
        assert (await site.bearer(fresh).get("/v2/")).status == 200
        clock.advance(30)
        body = {"name": "alice", "password": PASSWORD, "code": totp.at(clock.now() // 1000)}
        assert (await site.nobody.post("login", body)).status == 401
        await log_in(site, code=codes[0])
    file.write_text(file.read_text() + kept)
    assert await prepare(settings) == []
    async with worker(settings, clock) as site:
        await log_in(site, code=totp.at(clock.now() // 1000))


@pytest.mark.parametrize("text", ["", "short", "!" * 44, "AAAA", "A" * 44 + "\nnonsense"])
async def test_what_is_no_key(folder: Path, text: str) -> None:
    file = folder / "key"
    file.write_text(text)
    settings = configured(folder, secret_key_file=str(file))
    with pytest.raises(RegistryError, match=r"identity\.secret_key_file") as refused:
        await prepare(settings)
    assert not text or text not in str(refused.value)
    with pytest.raises(RegistryError, match="cannot be read"):
        await prepare(configured(folder, secret_key_file=str(folder / "none")))


async def test_signing_keys_are_revoked(site: Site, clock: FakeClock) -> None:
    """In another worker too: it finds out with the next request."""
    from gati_extensions.identity.parts import Parts

    await site.nobody.sign_up("alice")
    async with worker(site.registry.settings, clock) as another:
        token = (await site.user("alice").token())["token"]
        assert [(await one.bearer(token).get("/v2/")).status for one in (site, another)] == [200, 200]
        kernel = site.registry.extensions.kernels["identity"]
        tokens = Parts.build(kernel, kernel.settings).tokens
        await tokens.rotate()
        assert [(await one.bearer(token).get("/v2/")).status for one in (site, another)] == [200, 200]
        await tokens.rotate(revoke=True)
        assert [(await one.bearer(token).get("/v2/")).status for one in (site, another)] == [401, 401]
        fresh = (await site.user("alice").token())["token"]
        assert [(await one.bearer(fresh).get("/v2/")).status for one in (site, another)] == [200, 200]
        assert len((await site.nobody.get("jwks")).json()["keys"]) == 1
