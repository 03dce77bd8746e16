"""Master keys that others keep: Vault's transit engine and KMS; and moving from one to another."""

from __future__ import annotations

import asyncio
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from gati_registry.bootstrap import master_key
from gati_registry.errors import RegistryError, Unavailable
from gati_registry.keys import AwsCredentials
from gati_registry.keys.kms import signed
from gati_registry.ports import MasterKey, Wrapped
from gati_registry.settings import Encryption, Settings
from tests.clients.programs import require
from tests.core.support import Client, FakeClock, configure, registry, sha256
from tests.encryption.transit import TOKEN, Transit, running_transit
from tests.support.server import free_port, wait_for

pytestmark = pytest.mark.anyio

KEY = bytes(range(32))


@pytest.fixture
def transit() -> Iterator[Transit]:
    """The engine."""
    with running_transit() as running:
        yield running


@pytest.fixture
def token(tmp_path: Path) -> Path:
    """The file that an agent writes."""
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    return path


@pytest.fixture(scope="session")
def kms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that speaks as KMS does, with two keys; its URL."""
    program, folder, port = require("local-kms"), tmp_path_factory.mktemp("kms"), free_port()
    seed = folder / "seed.yaml"
    seed.write_text(
        "Keys:\n  Symmetric:\n    Aes:\n"
        f"      - Metadata:\n          KeyId: {ONE}\n        BackingKeys:\n          - {'5c' * 32}\n"
        f"      - Metadata:\n          KeyId: {TWO}\n        BackingKeys:\n          - {'a7' * 32}\n"
        f"Aliases:\n  - AliasName: alias/registry\n    TargetKeyId: {ONE}\n"
    )
    environment = {"KMS_SEED_PATH": str(seed), "KMS_DATA_PATH": str(folder), "PORT": str(port), "HOME": str(folder)}
    url = f"http://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log, subprocess.Popen([program], env=environment, stdout=log, stderr=log) as it:

        def answers() -> bool:
            assert it.poll() is None, (folder / "log").read_text()
            try:
                urllib.request.urlopen(url, timeout=5).close()
            except urllib.error.HTTPError:
                return True
            except (urllib.error.URLError, ConnectionError):
                return False
            return True

        try:
            wait_for(answers, timeout=30)
            yield url
        finally:
            it.kill()


ONE, TWO = "bc436485-5092-42b8-92a3-0aa8b93536dc", "11111111-5092-42b8-92a3-0aa8b93536dc"


def master(**encryption: object) -> MasterKey:
    """The master key of these settings."""
    found = master_key(Settings(encryption=Encryption.model_validate(encryption)))
    assert found is not None
    return found


def vault(transit: Transit, token: Path, **more: object) -> MasterKey:
    """The master key in the engine."""
    return master(master="vault", vault_url=transit.url, vault_token_file=token, **more)


# --- vault ------------------------------------------------------------------------------------------------------


async def test_vault_wraps_with_its_newest_version_and_unwraps_with_all(transit: Transit, token: Path) -> None:
    key = vault(transit, token)
    first = await key.wrap(KEY, "orgs/acme")
    assert first.master == await key.current() == "vault:gati-registry:v1"
    assert await key.rotate() == await key.current() == "vault:gati-registry:v2"
    second = await key.wrap(KEY, "orgs/acme")
    assert second.master == "vault:gati-registry:v2"
    assert await key.unwrap(first, "orgs/acme") == await key.unwrap(second, "orgs/acme") == KEY
    with pytest.raises(Unavailable, match="not the one"):
        await key.unwrap(second, "orgs/other")
    transit.oldest = 2
    with pytest.raises(Unavailable, match="old version"):
        await key.unwrap(first, "orgs/acme")
    assert await key.unwrap(second, "orgs/acme") == KEY


async def test_vault_in_trouble_is_said_in_one_line_without_a_secret(transit: Transit, token: Path) -> None:
    key = vault(transit, token)
    wrapped = await key.wrap(KEY, "orgs/acme")
    transit.failures = 2  # in passing
    assert await key.unwrap(wrapped, "orgs/acme") == KEY
    transit.failures = 3
    with pytest.raises(Unavailable, match="does not answer"):
        await key.unwrap(wrapped, "orgs/acme")
    with pytest.raises(Unavailable, match="no transit key absent"):
        await vault(transit, token, vault_key="absent").current()
    token.write_text("hvs.wrong")
    with pytest.raises(Unavailable, match="refuses the token") as refused:
        await key.current()
    assert "hvs" not in str(refused.value)
    token.write_text(TOKEN)  # the agent has a new one
    assert await key.unwrap(wrapped, "orgs/acme") == KEY
    token.unlink()
    with pytest.raises(Unavailable, match="vault_token_file"):
        await key.current()
    token.write_text(TOKEN)
    nobody = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(Unavailable, match="does not answer"):
        await master(master="vault", vault_url=nobody, vault_token_file=token).current()


# --- kms --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "signature"),
    [
        ("GET", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ],
)
def test_signatures_are_those_of_amazons_test_suite(method: str, signature: str) -> None:
    """Source: aws-sig-v4-test-suite, get-vanilla and post-vanilla."""
    headers = signed(
        {"Host": "example.amazonaws.com"},
        b"",
        method=method,
        moment=1440938160,
        service="service",
        region="us-east-1",
        credentials=AwsCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
    )
    assert headers["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders=host;x-amz-date, Signature={signature}"
    )


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an operator gives them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)


async def test_kms_wraps_by_an_alias_and_unwraps_by_the_key(kms: str, credentials: None) -> None:
    settings = {"master": "kms", "kms_endpoint": kms, "kms_region": "eu-west-2"}
    one, two = master(kms_key="alias/registry", **settings), master(kms_key=TWO, **settings)
    wrapped = await one.wrap(KEY, "orgs/acme")
    assert wrapped.master == await one.current()
    assert wrapped.master.endswith(ONE)
    assert KEY not in wrapped.data
    for key in (one, two):
        assert await key.unwrap(wrapped, "orgs/acme") == KEY
    with pytest.raises(Unavailable, match="KMS refuses Decrypt"):
        await one.unwrap(wrapped, "orgs/other")
    with pytest.raises(Unavailable, match="KMS refuses Decrypt"):
        await one.unwrap(Wrapped(wrapped.master, wrapped.data[:-1] + b"\0"), "orgs/acme")
    with pytest.raises(Unavailable, match="KMS refuses DescribeKey"):
        await master(kms_key="alias/absent", **settings).current()
    with pytest.raises(RegistryError, match="kms_key"):
        await one.rotate()


async def test_kms_without_credentials(kms: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    with pytest.raises(Unavailable, match="AWS_ACCESS_KEY_ID"):
        await master(master="kms", kms_endpoint=kms, kms_key=ONE).current()


# --- from one to another ----------------------------------------------------------------------------------------


async def test_the_master_key_moves_from_a_file_to_vault_to_kms(
    folder: Path, clock: FakeClock, keys_file: Path, transit: Transit, token: Path, kms: str, credentials: None
) -> None:
    """Each keeps its settings until all is wrapped by the next; no blob is touched."""
    small, large = b"small", b"large" * 50_000
    steps: list[dict[str, object]] = [
        {"master": "file", "file": keys_file},
        {"master": "vault", "vault_url": transit.url, "vault_token_file": token},
        {"master": "kms", "kms_endpoint": kms, "kms_key": TWO},
    ]

    def configured(**encryption: object) -> Settings:
        return configure(folder).model_copy(update={"encryption": Encryption.model_validate(encryption)})

    async with registry(folder, clock, configured(**steps[0])) as site:
        for data in (small, large):
            assert (await Client(site.app).push_blob("orgs/acme/app", data)).status == 201
    for before, step in pairwise(steps):
        with pytest.raises(Unavailable, match="rewrap"):
            async with registry(folder, clock, configured(**step)):
                pass
        async with registry(folder, clock, configured(**(before | step))) as site:
            assert site.keys is not None
            assert await site.keys.rewrap() == 2
            status = await site.keys.status()
            assert dict(status.wrapped) == {status.current: 2}
        async with registry(folder, clock, configured(**step)) as site:
            for data in (small, large):
                found = await Client(site.app).get(f"/v2/orgs/acme/app/blobs/{sha256(data)}")
                assert found.body == data


async def test_vault_is_asked_once_for_each_namespace(
    folder: Path, clock: FakeClock, transit: Transit, token: Path
) -> None:
    """Keys are at hand from then on, also while it is away; a namespace that needs a new one waits for it."""
    encryption = Encryption(master="vault", vault_url=transit.url, vault_token_file=token)
    settings = configure(folder).model_copy(update={"encryption": encryption})
    async with registry(folder, clock, settings) as site:
        client = Client(site.app)
        await asyncio.gather(*(client.push_blob("orgs/acme/app", b"blob %d" % number) for number in range(20)))
        asked = len(transit.requests)
        assert asked < 10
        transit.failures = 1_000_000
        for number in range(20):
            assert (await client.get(f"/v2/orgs/acme/app/blobs/{sha256(b'blob %d' % number)}")).status == 200
        assert (await client.push_blob("orgs/acme/app", b"another")).status == 201
        assert len(transit.requests) == asked
        assert (await client.push_blob("orgs/other/app", b"another")).status == 503
        transit.failures = 0
        assert (await client.push_blob("orgs/other/app", b"another")).status == 201


@pytest.mark.parametrize(
    "encryption",
    [
        {"master": "file"},
        {"master": "vault", "vault_url": "https://vault.example"},
        {"master": "vault", "vault_url": "http://vault.example", "vault_token_file": "t"},
        {"master": "vault", "vault_url": "https://vault.example/ui", "vault_token_file": "t"},
        {"master": "vault", "vault_url": "https://vault.example", "vault_token_file": "t", "vault_key": "../x"},
        {"master": "kms"},
        {"master": "kms", "kms_key": "k", "kms_endpoint": "http://10.0.0.1"},
    ],
)
def test_settings_that_do_not_fit_are_refused(encryption: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"needed with master|expected|use https"):
        Encryption.model_validate(encryption)
