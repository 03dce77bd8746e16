"""The same on PostgreSQL, where several replicas share one database."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gati_extensions.identity.parts import Parts
from gati_registry.bootstrap import prepare
from gati_registry.errors import RegistryError
from tests.core.support import FakeClock, scratch
from tests.extensions.identity.support import Site, configured, key_file, prepared, started, worker
from tests.extensions.identity.test_device import (
    test_a_device_is_connected,
    test_how_many_may_wait,
    test_one_of_many_questions_gets_the_key,
)
from tests.extensions.identity.test_keys import (
    test_a_key_expires,
    test_a_key_is_revoked_and_rotated,
    test_keys_are_listed_without_their_secret,
    test_robots,
    test_the_last_use_is_noted,
)
from tests.extensions.identity.test_orgs import (
    acme,
    test_a_member_leaves,
    test_it_is_deleted,
    test_teams,
    test_the_last_owner_stays,
)
from tests.extensions.identity.test_passkeys import test_a_counter_that_goes_back, test_they_are_listed_and_removed
from tests.extensions.identity.test_passwords import test_a_right_password_is_hashed_once, test_guessing_is_slowed
from tests.extensions.identity.test_sessions import (
    test_a_password_alone_is_not_enough,
    test_in_and_out,
    test_recovery_codes_are_good_once,
)
from tests.extensions.identity.test_tokens import test_a_refresh_token_gets_tokens, test_login_push_pull
from tests.extensions.identity.test_users import (
    test_an_account_that_is_put_out_of_use,
    test_export_and_erasure,
    test_profiles,
    test_the_administrators_password_changes,
    test_users_page_by_cursor,
)
from tests.support.postgresql import PostgresServer
from tests.support.templates import template_database

__all__ = [
    "acme",
    "test_a_counter_that_goes_back",
    "test_a_device_is_connected",
    "test_a_key_expires",
    "test_a_key_is_revoked_and_rotated",
    "test_a_member_leaves",
    "test_a_password_alone_is_not_enough",
    "test_a_refresh_token_gets_tokens",
    "test_a_right_password_is_hashed_once",
    "test_an_account_that_is_put_out_of_use",
    "test_export_and_erasure",
    "test_guessing_is_slowed",
    "test_how_many_may_wait",
    "test_in_and_out",
    "test_it_is_deleted",
    "test_keys_are_listed_without_their_secret",
    "test_login_push_pull",
    "test_one_of_many_questions_gets_the_key",
    "test_profiles",
    "test_recovery_codes_are_good_once",
    "test_robots",
    "test_teams",
    "test_the_administrators_password_changes",
    "test_the_last_owner_stays",
    "test_the_last_use_is_noted",
    "test_they_are_listed_and_removed",
    "test_users_page_by_cursor",
]

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The file of the key that seals secrets in the databases of `site`."""
    return str(key_file(tmp_path_factory.mktemp("key") / "secret.key"))


@pytest.fixture
async def site(postgresql: PostgresServer, folder: Path, clock: FakeClock, key: str) -> AsyncIterator[Site]:
    """A replica where everybody may sign up."""

    async def make(url: str) -> None:
        with scratch() as first:
            await started(first, url, secret_key_file=key)

    template = await template_database(f"identity {key}", postgresql, make)
    with postgresql.database(template) as name:
        settings = await prepared(folder, metadata_url=postgresql.url(name), signup="open", secret_key_file=key)
        async with worker(settings, clock) as built:
            yield built


async def test_what_one_replica_revokes_ends_in_another(site: Site, clock: FakeClock) -> None:
    """Here at once, there when what is remembered is old."""
    await site.nobody.sign_up("alice")
    key = await site.user("alice").key("read")
    async with worker(site.registry.settings, clock) as another:
        here, there = site.bearer(key["key"]), another.bearer(key["key"])
        assert [(await holder.get("/v2/")).status for holder in (here, there)] == [200, 200]
        assert (await site.user("alice").delete(f"keys/{key['id']}")).status == 204
        assert (await here.get("/v2/")).status == 401
        time.sleep(1)  # noqa: ASYNC251 - nothing may help it along
        assert (await there.get("/v2/")).status == 401


async def test_a_new_signing_key_holds_everywhere_at_once(site: Site, clock: FakeClock) -> None:
    """A replica that has not heard of a key looks it up."""
    await site.nobody.sign_up("alice")
    async with worker(site.registry.settings, clock) as another:
        old = (await another.user("alice").token())["token"]
        assert (await another.bearer(old).get("/v2/")).status == 200
        clock.advance(91 * 86400)
        job = next(job for job in site.registry.extensions.all("jobs") if job.name == "identity.signing-key")
        await job.run()
        new = (await site.user("alice").token())["token"]
        assert (await another.bearer(new).get("/v2/")).status == 200


async def test_revoked_signing_keys_end_everywhere(site: Site, clock: FakeClock) -> None:
    """Here at once, there when what is remembered is old."""
    await site.nobody.sign_up("alice")
    async with worker(site.registry.settings, clock) as another:
        token = (await site.user("alice").token())["token"]
        assert [(await one.bearer(token).get("/v2/")).status for one in (site, another)] == [200, 200]
        kernel = site.registry.extensions.kernels["identity"]
        await Parts.build(kernel, kernel.settings).tokens.rotate(revoke=True)
        time.sleep(1)  # noqa: ASYNC251 - nothing may help it along
        assert [(await one.bearer(token).get("/v2/")).status for one in (site, another)] == [401, 401]


async def test_secrets_are_sealed_with_the_replicas_own_key(postgresql: PostgresServer, folder: Path) -> None:
    """Without one the operator is told; set later, it seals what is there; another is refused."""
    with postgresql.database() as name:
        plain = configured(folder, metadata_url=postgresql.url(name), secret_key_file=None)
        [line] = await prepare(plain)
        assert "identity.secret_key_file" in line
        assert not (plain.data / "identity.key").exists()
        sealing = configured(folder, metadata_url=postgresql.url(name))
        assert await prepare(sealing) == []
        other = str(key_file(folder / "other.key"))
        with pytest.raises(RegistryError, match="does not open"):
            await prepare(configured(folder, metadata_url=postgresql.url(name), secret_key_file=other))
        assert "1 signing keys" in "".join(await prepare(plain))
