"""Issuers that lie, in each way one can; and logins at GitHub."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

import gati_extensions
import gati_registry
from gati_extensions.guarded import WebFetcher
from gati_extensions.identity.federation.attempt import Attempt, cookie, of_cookies
from gati_extensions.identity.federation.oidc import Oidc
from gati_extensions.identity.federation.settings import Provider
from gati_extensions.identity.federation.web import Web
from gati_extensions.identity.settings import IdentitySettings
from gati_registry import loader
from gati_registry.errors import Code, RegistryError, Unavailable
from gati_registry.settings import SettingsError, load
from tests.core.support import FakeClock
from tests.extensions.identity.hostile import (
    KEY,
    REFUSED,
    STRANGERS_KEY,
    UNUSABLE,
    GitHub,
    Issuers,
    jwk,
    running_github,
    running_issuers,
)
from tests.extensions.identity.providers import CLIENT, SECRET, Browser, callback, new_port, provider, registry
from tests.extensions.identity.support import EXT, prepared
from tests.support.server import RegistryProcess

pytestmark = pytest.mark.anyio


@dataclass(frozen=True, slots=True)
class World:
    """A registry with all of them."""

    server: RegistryProcess
    issuers: Issuers
    github: GitHub

    def browser(self) -> Browser:
        """A new one."""
        return Browser(self.server.url)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Started once."""
    folder, port = tmp_path_factory.mktemp("hostile"), new_port()
    with running_issuers() as issuers, running_github() as github:
        ways = [provider(folder, way, f"{issuers.url}/{way}") for way in ("good", *REFUSED, *UNUSABLE)]
        terms: dict[str, dict[str, Any]] = {
            "workspace": {"kind": "google", "allowed_domains": ["Corp.example"]},
            "consumer": {"kind": "google", "allowed_domains": ["corp.example"]},
            "unverified": {"allowed_domains": ["corp.example"]},
            "weak": {"acr_values": ["two-factors"]},
            "strong": {"acr_values": ["two-factors"]},
            "nested": {"groups_claim": "realm_access.roles", "allowed_groups": ["engineering"],
                       "groups": {"engineering": "acme/nested"}},
        }  # fmt: skip
        ways += [provider(folder, way, f"{issuers.url}/{way}", **more) for way, more in terms.items()]
        hub = provider(folder, "hub", github.url, kind="github", groups={"Org-119": "acme", "org-3/core": "acme/core"})
        closed = provider(
            folder, "closed", github.url, kind="github", allowed_groups=["nobody-s"], create_accounts=False
        )
        with registry(folder, [*ways, hub, closed], port=port, GATI_IDENTITY__ADDRESS_TRIES="10000") as server:
            yield World(server, issuers, github)


def begin(browser: Browser, way: str) -> tuple[httpx.Response, httpx.URL]:
    """The answer to a begun login, and where the issuer would send the browser back to."""
    answer = browser.ext("GET", f"federation/{way}/login")
    asked = httpx.URL(answer.headers.get("location", "")).params
    code = f"{asked.get('nonce')}~{asked.get('code_challenge')}"
    back = httpx.URL(callback(browser.registry, way), params={"code": code, "state": asked.get("state", "")})
    return answer, back


def test_a_good_one_is_believed(world: World) -> None:
    with world.browser() as browser:
        answer, back = begin(browser, "good")
        asked = httpx.URL(answer.headers["location"]).params
        assert (asked["response_type"], asked["code_challenge_method"], asked["client_id"]) == ("code", "S256", CLIENT)
        assert asked["redirect_uri"] == callback(world.server.url, "good")
        assert "HttpOnly" in answer.headers["set-cookie"]
        assert "SameSite=Lax" in answer.headers["set-cookie"]
        answer = browser.http.get(back)
        assert answer.status_code == 303, answer.text
        assert browser.me().json()["account"]["name"] == "good"
        assert browser.http.get(back).status_code == 401  # the cookie is gone


def test_the_host_of_a_request_is_not_believed(world: World) -> None:
    """Where browsers come back to is the operator's word alone."""
    answer = httpx.get(f"{world.server.url}{EXT}/federation/good/login", headers={"Host": "evil.example"}, timeout=60)
    asked = httpx.URL(answer.headers["location"]).params
    assert asked["redirect_uri"] == callback(world.server.url, "good")


@pytest.mark.parametrize("way", REFUSED)
def test_a_token_that_proves_nothing(world: World, way: str) -> None:
    with world.browser() as browser:
        _, back = begin(browser, way)
        answer = browser.http.get(back)
        assert answer.status_code == 401, answer.text
        assert answer.json()["errors"][0]["code"] == "UNAUTHORIZED"
        assert "gati_session" not in browser.http.cookies
        assert browser.me().status_code == 401


@pytest.mark.parametrize("way", UNUSABLE)
def test_an_issuer_that_cannot_be_asked(world: World, way: str) -> None:
    """Nobody is led anywhere by it."""
    with world.browser() as browser:
        answer, back = begin(browser, way)
        if answer.is_redirect:  # what is wrong shows only when the token comes
            answer = browser.http.get(back)
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["retry-after"]) > 0
        assert browser.me().status_code == 401
    assert world.issuers.asked["trap"] == 0


@pytest.mark.parametrize(
    ("way", "words"),
    [("workspace", ""), ("consumer", "domain"), ("unverified", "domain"), ("weak", "strong"), ("strong", ""),
     ("nested", "")],
)  # fmt: skip
def test_terms_of_a_provider(world: World, way: str, words: str) -> None:
    """Google's own claim of a domain, verified addresses, strength of the login, groups by their path."""
    with world.browser() as browser:
        _, back = begin(browser, way)
        answer = browser.http.get(back)
        if words:
            assert answer.status_code == 401
            assert words in answer.text
        else:
            assert answer.status_code == 303, answer.text
            teams = browser.me().json()["teams"]
            assert teams == ([{"org": "acme", "team": "nested"}] if way == "nested" else [])


def test_cookies_over_https() -> None:
    """Their name is one that only we can set; another is not looked at."""
    attempt = Attempt.begin("good", 0, "/")
    header = cookie(attempt.value, secure=True)
    assert header.startswith(f"__Host-gati_login={attempt.value}; Path=/; ")
    assert header.endswith("; HttpOnly; SameSite=Lax; Secure")
    assert of_cookies(f"a=b; {header.partition(';')[0]}", secure=True) == attempt
    assert of_cookies(f"gati_login={attempt.value}", secure=True) is None
    for text in ("gati_login=", "gati_login=x", "gati_login=W10=", f"gati_login={'x' * 5000}", "", None):
        assert of_cookies(text, secure=False) is None


def test_a_code_for_another_browser_s_challenge(world: World) -> None:
    """A code that somebody else's login got: the issuer refuses it without the verifier, and says so."""
    with world.browser() as one, world.browser() as other:
        _, theirs = begin(one, "good")
        _, ours = begin(other, "good")
        answer = other.http.get(ours.copy_set_param("code", theirs.params["code"]))
        assert answer.status_code == 401
        assert "invalid_grant" in answer.text


def test_a_private_issuer_is_not_asked(tmp_path: Path) -> None:
    """Where the settings name no network, what is not public and not https is not asked."""
    port = new_port()
    with running_issuers() as issuers:
        providers = [
            provider(tmp_path, "loopback", f"{issuers.url}/good"),
            provider(tmp_path, "secure", f"{issuers.url.replace('http:', 'https:')}/good"),
            provider(tmp_path, "named", f"{issuers.url.replace('127.0.0.1', 'localhost')}/good"),
            provider(tmp_path, "mapped", f"{issuers.url.replace('127.0.0.1', '[::ffff:127.0.0.1]')}/good"),
            provider(tmp_path, "metadata", "https://169.254.169.254"),
        ]
        with registry(tmp_path, providers, port=port, networks="") as server, Browser(server.url) as browser:
            for one in providers:
                assert browser.ext("GET", f"federation/{one['id']}/login").status_code == 503, one["id"]
        assert not issuers.asked


# --- keys -------------------------------------------------------------------------------------------------------


def client(folder: Path, issuers: Issuers, clock: FakeClock, way: str, longest: float = 60) -> Oidc:
    """A login's part that talks to the issuer."""
    settings = Provider.model_validate(provider(folder, way, f"{issuers.url}/{way}"))
    fetcher = WebFetcher(networks=[ipaddress.ip_network("127.0.0.0/8")], longest=longest)
    return Oidc(settings, SECRET, Web(fetcher, way, logging.getLogger(__name__)), clock)


async def log_in(oidc: Oidc, clock: FakeClock, way: str) -> str:
    """The name of whoever logs in."""
    attempt = Attempt.begin(way, clock.now(), "/")
    asked = httpx.URL(await oidc.location(attempt, "http://x.example/callback")).params
    code = f"{asked['nonce']}~{asked['code_challenge']}"
    return (await oidc.identify(attempt, "http://x.example/callback", {"code": code})).name


async def test_a_slow_issuer_is_given_up(folder: Path, clock: FakeClock) -> None:
    """One that sends a byte now and then, for ever."""
    with running_issuers() as issuers:
        attempt = Attempt.begin("slow", clock.now(), "/")
        slow, good = client(folder, issuers, clock, "slow", 0.5), client(folder, issuers, clock, "good")
        asked = await asyncio.gather(*(slow.location(attempt, "x") for _ in range(12)), return_exceptions=True)
        assert [type(error) for error in asked] == [Unavailable] * 12
        assert "/good/authorize" in await good.location(attempt, "x")


@pytest.fixture
def present() -> FakeClock:
    """A clock that agrees with the issuers'."""
    import time

    clock = FakeClock()
    clock.advance(time.time() - clock.now() / 1000)
    return clock


async def test_keys_rotate(folder: Path, present: FakeClock) -> None:
    """An unknown one is asked for at once, the old one is forgotten with the issuer's word."""
    with running_issuers() as issuers:
        oidc = client(folder, issuers, present, "good")
        for _ in range(3):
            assert await log_in(oidc, present, "good") == "good"
        assert issuers.asked["/good/keys"] == 1
        present.advance(11)
        issuers.keys, issuers.signs = [jwk(STRANGERS_KEY, kid="k2")], ("k2", STRANGERS_KEY)
        assert await log_in(oidc, present, "good") == "good"
        issuers.signs = ("k1", KEY)
        with pytest.raises(RegistryError, match="no key"):
            await log_in(oidc, present, "good")
        assert issuers.asked["/good/.well-known/openid-configuration"] == 1


async def test_unknown_keys_are_not_asked_for_at_anybody_s_pace(folder: Path, present: FakeClock) -> None:
    with running_issuers() as issuers:
        oidc = client(folder, issuers, present, "unknown-kid")
        for _ in range(30):
            with pytest.raises(RegistryError) as caught:
                await log_in(oidc, present, "unknown-kid")
            assert caught.value.code is Code.UNAUTHORIZED
            present.advance(1)
        assert 1 <= issuers.asked["/unknown-kid/keys"] <= 4


# --- GitHub -----------------------------------------------------------------------------------------------------


def test_github(world: World) -> None:
    """By number, not by name; groups are organizations and teams, over several pages."""
    with world.browser() as browser:
        answer = browser.follow(browser.ext("GET", "federation/hub/login?return_to=/ui"))
        assert "/ui" in browser.seen[-1], answer.text
        me = browser.me().json()
        account = me["account"]
        assert (account["name"], account["email"], account["display"]) == ("octo-cat", "octo@x.example", "The Octocat")
        assert me["organizations"] == [{"org": "acme", "role": "member"}]
        assert me["teams"] == [{"org": "acme", "team": "core"}]
        (link,) = browser.ext("GET", "me/links").json()["items"]
        assert (link["issuer"], link["subject"]) == (world.github.url, "583231")
    world.github.user |= {"login": "renamed"}
    world.github.orgs, world.github.teams = [], []
    with world.browser() as browser:
        browser.follow(browser.ext("GET", "federation/hub/login"))
        me = browser.me().json()
        assert (me["account"]["name"], me["organizations"], me["teams"]) == ("octo-cat", [], [])
    world.github.user |= {"id": 99, "login": "octo-cat"}  # somebody else took the name
    with world.browser() as browser:
        answer = browser.follow(browser.ext("GET", "federation/hub/login"))
        assert answer.status_code == 409
        assert browser.me().status_code == 401


def test_github_organizations_let_in(world: World) -> None:
    with world.browser() as browser:
        answer = browser.follow(browser.ext("GET", "federation/closed/login"))
        assert answer.status_code == 401
        assert "organization" in answer.text


def test_a_code_of_github_s_is_good_once(world: World) -> None:
    with world.browser() as browser:
        back = browser.follow(browser.ext("GET", "federation/closed/login"), callback(world.server.url, "closed"))
        assert browser.come_back(back).status_code == 401
        answer = browser.come_back(back)
        assert answer.status_code == 401
        assert "bad_verification_code" in answer.text


# --- settings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"issuer": ""}, "issuer"),
        ({"issuer": "ftp://x"}, "issuer"),
        ({"issuer": "https://x?y"}, "issuer"),
        ({"id": "Has Spaces"}, "id"),
        ({"id": "ldap"}, "ldap"),
        ({"client_id": ""}, "client_id"),
        ({"client_secret_file": "/nonexistent"}, "client_secret_file|cannot be read"),
        ({"groups": {"a": "@root"}}, "groups"),
        ({"kind": "saml"}, "kind"),
        ({"unknown": 1}, "unknown"),
        ({"kind": "github", "allowed_domains": ["x"]}, "allowed_groups"),
    ],
)
async def test_settings_that_do_not_fit_stop_the_start(folder: Path, change: dict[str, Any], words: str) -> None:
    wrong = {**provider(folder, "corp", "https://login.example"), **change}
    with pytest.raises(SettingsError, match=words) as caught:
        await prepared(folder, providers=[wrong])
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_providers_need_the_public_url(folder: Path) -> None:
    with pytest.raises(RegistryError, match="public_url"):
        await prepared(folder, providers=[provider(folder, "corp", "https://login.example")])
    with pytest.raises(SettingsError, match="same id"):
        await prepared(folder, providers=[provider(folder, "corp", "https://login.example")] * 2)


def test_only_who_has_providers_needs_the_extra(tmp_path: Path) -> None:
    """Without it the start is stopped by one line; without providers nothing of it is even loaded."""
    # The same packages as here but for one: as if the extra were not installed.
    packages = tmp_path / "packages"
    packages.mkdir()
    for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if entry.name.lower().partition("-")[0] not in ("authlib", "joserfc"):
            (packages / entry.name).symlink_to(entry)
    sources = [str(Path(module.__file__ or "").parents[1]) for module in (gati_registry, gati_extensions)]
    providers = json.dumps([provider(tmp_path, "corp", "https://login.example")])

    def check(**env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-S", "-m", "gati_registry", "check", "--data", str(tmp_path / "data")],
            env={"PYTHONPATH": ":".join([*sources, str(packages)]), "PATH": os.environ["PATH"], **env},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    result = check()
    assert result.returncode == 0, result.stderr
    result = check(GATI_IDENTITY__PROVIDERS=providers, GATI_PUBLIC_URL="https://registry.example")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1), result.stderr
    assert "identity.providers" in result.stderr
    assert "gati-registry[federation]" in result.stderr


@pytest.mark.parametrize("number", range(6))
def test_the_examples_of_the_guide_are_settings(tmp_path: Path, number: int) -> None:
    """Every block of docs/federation.md, with the files that it names."""
    guide = (Path(__file__).parents[3] / "docs" / "federation.md").read_text()
    blocks = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    assert len(blocks) == 6
    for name in re.findall(r"/etc/gati/([a-z.-]+)", blocks[number]):
        (tmp_path / name).write_text("secret")
    path = tmp_path / "gati.toml"
    path.write_text(blocks[number].replace("/etc/gati", str(tmp_path)))
    loaded = load({"extensions": "identity"}, environment={}, config=path, extensions=loader.sections)
    section = loaded.settings.extension("identity")
    assert isinstance(section, IdentitySettings)
    assert section.providers or section.ldap_url
    assert "secret" not in [str(value) for value in section.model_dump().values()]
