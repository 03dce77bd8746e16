"""Logging in by a real, certified OpenID Connect provider, through all of its pages."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from gati_extensions.identity.federation.attempt import Attempt
from tests.extensions.identity.providers import (
    ALICE,
    BOB,
    SECRET,
    Browser,
    callback,
    new_port,
    provider,
    registry,
    running_issuer,
)
from tests.extensions.identity.support import ADMIN_PASSWORD, EXT, PASSWORD
from tests.support.server import RegistryProcess


@dataclass(frozen=True, slots=True)
class World:
    """A registry with two providers, at which there are the same logins."""

    server: RegistryProcess
    one: str
    two: str

    def browser(self) -> Browser:
        """A new one."""
        return Browser(self.server.url)

    def admin(self, method: str, path: str, json: object = None) -> httpx.Response:
        """The administrator."""
        answer = httpx.request(
            method, f"{self.server.url}{EXT}/{path}", json=json, auth=("admin", ADMIN_PASSWORD), timeout=60
        )
        assert answer.is_success, answer.text
        return answer


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Started once; every test has people of its own."""
    folder, port = tmp_path_factory.mktemp("federation"), new_port()
    people = {name: {**claims, "preferred_username": name} for name, claims in {
        "alice": ALICE, "bob": BOB, "carol": ALICE, "dave": ALICE, "erin": ALICE, "frank": ALICE, "grace": ALICE,
        "walter": ALICE, "heidi": ALICE, "ivan": BOB, "judy": ALICE, "mallory": BOB, "admin": BOB}.items()}  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    with (
        running_issuer([callback(url, "corp")], people) as one,
        running_issuer([callback(url, "other")], people, token_endpoint_auth_method="client_secret_post") as two,
    ):
        providers = [
            provider(
                folder,
                "corp",
                one,
                title="The company",
                groups_claim="groups",
                groups={"engineering": "acme/developers", "bosses": "acme:owner"},
            ),
            provider(folder, "other", two, allowed_domains=["corp.example"]),
        ]
        with registry(folder, providers, port=port, GATI_LOG__LEVEL="debug") as server:
            yield World(server, one, two)


def test_the_first_login_makes_the_account(world: World) -> None:
    with world.browser() as browser:
        listed = browser.ext("GET", "federation").json()["items"]
        assert [(item["id"], item["title"]) for item in listed] == [("corp", "The company"), ("other", "other")]
        answer = browser.log_in("corp", "alice", "?return_to=/ui/keys")
        assert (answer.status_code, answer.headers["location"]) == (303, "/ui/keys")
        me = browser.me().json()
        assert (me["account"]["name"], me["account"]["namespace"], me["method"]) == ("alice", "users/alice", "session")
        assert (me["account"]["display"], me["account"]["email"]) == ("Alice A.", "alice@corp.example")
        assert me["organizations"] == [{"org": "acme", "role": "member"}]
        assert me["teams"] == [{"org": "acme", "team": "developers"}]
        key = browser.act("POST", "keys", json={"name": "x", "scopes": ["publish"]})
        assert key.status_code == 201, key.text
        assert browser.act("POST", "logout").status_code == 204
        assert browser.me().status_code == 401
    with world.browser() as again:  # the same person, the same account
        again.log_in("corp", "alice")
        assert again.me().json()["account"] == me["account"]
        link = again.ext("GET", "me/links").json()["items"]
        assert [(item["provider"], item["issuer"], item["subject"]) for item in link] == [("corp", world.one, "alice")]


def test_the_login_needs_the_browser_that_began_it(world: World) -> None:
    with world.browser() as victim, world.browser() as attacker:
        answer = attacker.consent(attacker.to_provider("corp"), "mallory", "corp")
        # The attacker's answer, brought to the victim: with no login of its own, and with one.
        assert victim.come_back(answer).status_code == 401
        victim.to_provider("corp")
        assert victim.come_back(answer).status_code == 401
        assert victim.me().status_code == 401
        assert attacker.come_back(answer).status_code == 303


def test_a_code_is_good_once(world: World) -> None:
    """In the same browser too, with the cookie kept."""
    with world.browser() as browser:
        answer = browser.consent(browser.to_provider("corp"), "grace", "corp")
        cookie = f"gati_login={browser.http.cookies['gati_login']}"
        assert browser.come_back(answer).status_code == 303
        assert "gati_login" not in browser.http.cookies
        replayed = httpx.get(answer.headers["location"], headers={"Cookie": cookie}, timeout=60)
        assert replayed.status_code == 401
        assert "set-cookie" not in replayed.headers


def test_a_wrong_state_is_refused(world: World) -> None:
    with world.browser() as browser:
        location = browser.consent(browser.to_provider("corp"), "grace", "corp").headers["location"]
        url = httpx.URL(location)
        for state in ("", "x" * 43, url.params["state"][:-1]):
            assert browser.http.get(url.copy_set_param("state", state)).status_code == 401
        assert browser.http.get(url).status_code == 303


def test_the_answer_of_one_provider_is_not_another_s(world: World) -> None:
    """Mix-up: an answer of `corp` brought to the callback of `other`, and an `iss` that is not the issuer's."""
    with world.browser() as browser:
        url = httpx.URL(browser.consent(browser.to_provider("corp"), "grace", "corp").headers["location"])
        other = httpx.URL(callback(world.server.url, "other")).copy_merge_params(url.params)
        assert browser.http.get(other).status_code == 401
        assert browser.http.get(url.copy_set_param("iss", world.two)).status_code == 401
        assert browser.http.get(url.copy_remove_param("iss")).status_code == 401  # it announces that it sends it
        assert browser.http.get(url).status_code == 303


def test_a_refusal_at_the_provider(world: World) -> None:
    with world.browser() as browser:
        page = browser.to_provider("corp")
        abort = page.text.partition("/abort")[0].rpartition('"')[2] + "/abort"
        answer = browser.follow(browser.http.get(str(page.url.join(abort))), callback(world.server.url, "corp"))
        refused = browser.come_back(answer)
        assert refused.status_code == 401
        assert "access_denied" in refused.text


def test_a_name_that_is_taken_is_not_taken_over(world: World) -> None:
    """Neither by its name nor by its address; only a session of the account links."""
    world.admin("POST", "users", {"name": "dave", "password": PASSWORD, "email": "alice@corp.example"})
    with world.browser() as browser:
        refused = browser.log_in("corp", "dave")
        assert refused.status_code == 409
        assert "dave" in refused.text
        assert browser.me().status_code == 401
        made = browser.log_in("corp", "dave", "?name=dave-two")
        assert made.status_code == 303
        assert browser.me().json()["account"]["name"] == "dave-two"
    assert world.admin("GET", "users/dave").json()["display"] == ""
    with world.browser() as browser:  # nor the administrator, whose name is no name for others
        assert browser.log_in("corp", "admin").status_code == 409
        browser.forget()
        # A name of one's own choice is only for those whose own is taken.
        assert browser.log_in("corp", "erin", "?name=somebody-else").status_code == 303
        assert browser.me().json()["account"]["name"] == "erin"


def test_a_cookie_of_one_s_own_making_says_no_more_than_one_may(world: World) -> None:
    """It is the browser's own: neither a name that is none, nor a place elsewhere, nor another provider's answer."""
    world.admin("POST", "users", {"name": "walter", "password": PASSWORD})
    with world.browser() as browser:
        now = int(time.time() * 1000)
        attempt = Attempt.begin("corp", now, "/", name="Admin/../Root\n ")
        location = httpx.URL(browser.ext("GET", "federation/corp/login").headers["location"])
        challenge = base64.urlsafe_b64encode(hashlib.sha256(attempt.verifier.encode()).digest()).rstrip(b"=").decode()
        forged = location.copy_merge_params(
            {"state": attempt.state, "nonce": attempt.nonce, "code_challenge": challenge}
        )
        browser.http.cookies.set("gati_login", attempt.value, domain="127.0.0.1", path="/")
        page = browser.follow(browser.http.get(forged), callback(world.server.url, "corp"))
        answer = browser.come_back(browser.consent(page, "walter", "corp"))
        assert answer.status_code == 303, answer.text
        assert browser.me().json()["account"]["name"] == "admin-root"
    for elsewhere in ("//evil.example", "https://evil.example"):
        made = Attempt.begin("corp", now, elsewhere)
        cookie = {"Cookie": f"gati_login={made.value}"}
        url = httpx.URL(callback(world.server.url, "corp"), params={"code": "x", "state": made.state})
        assert httpx.get(url, headers=cookie, timeout=60).status_code == 401


def test_linking_and_unlinking(world: World) -> None:
    world.admin("POST", "users", {"name": "frank-here", "password": PASSWORD})
    with world.browser() as browser:
        browser.ext("POST", "login", json={"name": "frank-here", "password": PASSWORD}).raise_for_status()
        assert browser.ext("POST", "federation/corp/link").status_code == 403  # no CSRF token
        begun = browser.act("POST", "federation/corp/link?return_to=/ui/links").json()
        page = browser.follow(browser.http.get(begun["location"]))
        answer = browser.come_back(browser.consent(page, "frank", "corp"))
        assert (answer.status_code, answer.headers["location"]) == (303, "/ui/links")
        assert browser.me().json()["account"]["name"] == "frank-here"
        (link,) = browser.ext("GET", "me/links").json()["items"]
        assert browser.ext("GET", "me/export").json()["links"] == [link]
    with world.browser() as browser:
        browser.log_in("corp", "frank")
        assert browser.me().json()["account"]["name"] == "frank-here"
        assert browser.act("DELETE", f"me/links/{link['id']}").status_code == 204
    with world.browser() as browser:
        browser.log_in("corp", "frank")  # nobody's again: an account of their own
        assert browser.me().json()["account"]["name"] == "frank"
        (link,) = browser.ext("GET", "me/links").json()["items"]
        assert browser.act("DELETE", f"me/links/{link['id']}").status_code == 409  # the only way in


def test_an_identity_is_linked_in_the_session_that_asked(world: World) -> None:
    """A link that one session began is not finished in another, and not without any."""
    for name in ("heidi-here", "victim"):
        world.admin("POST", "users", {"name": name, "password": PASSWORD})
    with world.browser() as attacker, world.browser() as victim:
        for browser, name in ((attacker, "heidi-here"), (victim, "victim")):
            browser.ext("POST", "login", json={"name": name, "password": PASSWORD}).raise_for_status()
        begun = attacker.act("POST", "federation/corp/link").json()
        answer = attacker.consent(attacker.follow(attacker.http.get(begun["location"])), "heidi", "corp")
        planted = attacker.http.cookies["gati_login"]
        victim.http.cookies.set("gati_login", planted, domain="127.0.0.1", path="/")
        assert victim.come_back(answer).status_code == 401
        assert victim.ext("GET", "me/links").json()["items"] == []
        basic = httpx.post(f"{world.server.url}{EXT}/federation/corp/link", auth=("victim", PASSWORD), timeout=60)
        assert basic.status_code == 403
        assert attacker.come_back(answer).status_code == 303
        assert len(attacker.ext("GET", "me/links").json()["items"]) == 1
    with world.browser() as thief:  # and an identity that is linked already is not moved
        thief.ext("POST", "login", json={"name": "victim", "password": PASSWORD}).raise_for_status()
        begun = thief.act("POST", "federation/corp/link").json()
        answer = thief.consent(thief.follow(thief.http.get(begun["location"])), "heidi", "corp")
        assert thief.come_back(answer).status_code == 409


@pytest.mark.parametrize(
    "return_to",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "\\\\evil",
        "javascript:x",
        "/%0d%0aSet-Cookie:x=y\n",
    ],
)
def test_nobody_is_sent_elsewhere(world: World, return_to: str) -> None:
    with world.browser() as browser:
        answer = browser.ext("GET", "federation/corp/login", params={"return_to": return_to})
        assert answer.status_code == 400
        assert "location" not in answer.headers


def test_only_the_allowed_domain(world: World) -> None:
    with world.browser() as browser:
        refused = browser.log_in("other", "ivan")
        assert refused.status_code == 401
        assert "domain" in refused.text
        browser.forget()
        assert browser.log_in("other", "judy").status_code == 303


def test_two_issuers_share_no_subjects(world: World) -> None:
    """The same subject at another issuer is another person."""
    with world.browser() as browser:
        browser.log_in("corp", "carol")
    with world.browser() as browser:
        assert browser.log_in("other", "carol").status_code == 409


def test_an_account_out_of_use_stays_out(world: World) -> None:
    with world.browser() as browser:
        browser.log_in("corp", "bob")
        world.admin("PATCH", "users/bob", {"active": False})
        assert browser.me().status_code == 401
        assert browser.log_in("corp", "bob").status_code == 403


def test_nothing_secret_is_logged(world: World) -> None:
    with world.browser() as browser:
        location = httpx.URL(browser.consent(browser.to_provider("corp"), "grace", "corp").headers["location"])
        cookie = browser.http.cookies["gati_login"]
        assert browser.http.get(location).status_code == 303
        session = browser.http.cookies["gati_session"]
    said = world.server.stderr()
    for text in (SECRET, location.params["code"], location.params["state"], cookie, session):
        assert text not in said
    for path in world.server.data.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert SECRET.encode() not in data
            assert session.encode() not in data
