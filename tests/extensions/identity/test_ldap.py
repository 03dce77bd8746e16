"""Passwords and groups of a real directory."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest

from gati_registry.errors import Unavailable
from tests.clients.client import Client
from tests.clients.conftest import home as home
from tests.clients.programs import require
from tests.core.support import FakeClock
from tests.extensions.identity.passkeys import Authenticator
from tests.extensions.identity.support import (
    ADMIN_PASSWORD,
    EXT,
    Api,
    Site,
    configured,
    form,
    prepared,
    server,
    worker,
)
from tests.extensions.identity.test_passkeys import add, begun
from tests.serving.conftest import certificate
from tests.support.slapd import GROUPS, PEOPLE, READER, READER_PASSWORD, Slapd, running_slapd

__all__ = ["certificate"]

pytestmark = pytest.mark.anyio

OURS = "directory password"
FILTER = "(&(objectClass=inetOrgPerson)(uid={name})(!(employeeType=disabled)))"
CACHE = 60


@pytest.fixture(scope="module")
def slapd(certificate: tuple[Path, Path]) -> Iterator[Slapd]:
    """A server for this file; every test has people of its own."""
    with running_slapd(certificate) as running:
        yield running


_numbers = itertools.count()


@pytest.fixture
def person() -> str:
    """A name that nobody has yet."""
    return f"person{next(_numbers)}"


def ldap(folder: Path, slapd: Slapd, certificate: tuple[Path, Path], **more: Any) -> dict[str, Any]:
    """The settings of the directory."""
    secret = folder / "reader"
    secret.write_text(READER_PASSWORD + "\n")
    return {
        "ldap_url": slapd.tls_url,
        "ldap_ca_file": str(certificate[0]),
        "ldap_bind_dn": READER,
        "ldap_password_file": str(secret),
        "ldap_base": PEOPLE,
        "ldap_filter": FILTER,
        "ldap_group_base": GROUPS,
        "ldap_groups": {"engineers": "acme/developers", "bosses": "acme:owner", "operators": "@admin"},
        "ldap_timeout": 60,
        **more,
    }


@contextlib.asynccontextmanager
async def registry(folder: Path, clock: FakeClock, **settings: Any) -> AsyncIterator[Site]:
    """A registry with the directory."""
    async with worker(await prepared(folder, **settings), clock) as built:
        yield built


@pytest.fixture
async def site(folder: Path, clock: FakeClock, slapd: Slapd, certificate: tuple[Path, Path]) -> AsyncIterator[Site]:
    """One that asks over TLS."""
    async with registry(folder, clock, **ldap(folder, slapd, certificate)) as built:
        yield built


async def sweep(site: Site) -> None:
    """What the job does."""
    job = next(job for job in site.registry.extensions.all("jobs") if job.name == "identity.directory")
    await job.run()


async def test_all_ways_in(site: Site, slapd: Slapd, person: str) -> None:
    """Basic, the token service, a browser's session; the first login makes the account."""
    slapd.add_user(person, OURS, mail=f"{person}@corp.example")
    user = site.user(person, OURS)
    me = (await user.get("me")).json()
    assert (me["account"]["name"], me["account"]["namespace"], me["method"]) == (person, f"users/{person}", "password")
    assert (me["account"]["display"], me["account"]["email"]) == (person.title(), f"{person}@corp.example")
    assert me["organizations"] == []
    token = await user.token(f"repository:users/{person}/app:pull,push")
    assert (await site.bearer(token["token"]).get("/v2/")).status == 200
    fields = {"grant_type": "password", "username": person, "password": OURS, "access_type": "offline"}
    answer = await form(site.nobody, fields)
    assert answer.status == 200
    login = await site.nobody.post("login", {"name": person, "password": OURS})
    assert login.status == 200
    cookie = login.headers["set-cookie"].partition(";")[0]
    assert (await Api(site.client({"Cookie": cookie})).get("me")).json()["account"]["name"] == person
    links = (await user.get("me/links")).json()["items"]
    assert [(link["provider"], link["label"]) for link in links] == [("ldap", person)]
    assert (await user.delete(f"me/links/{links[0]['id']}")).status == 409
    changed = await user.put("me/password", {"current": OURS, "new": "another password"})
    assert changed.status == 409


async def test_what_is_wrong_is_refused(site: Site, slapd: Slapd, person: str) -> None:
    """Nobody learns why; an empty password, which a directory takes for an anonymous bind, is one of them."""
    slapd.add_user(person, OURS)
    slapd.add_user(f"{person}-off", OURS, employeeType="disabled")
    answers = [
        await site.user(name, password).get("/v2/")
        for name, password in (
            (person, "wrong"), (person, ""), (f"{person}x", OURS), (f"{person}-off", OURS), ("reader", READER_PASSWORD),
            (f"uid={person},{PEOPLE}", OURS), ("", OURS))
    ]  # fmt: skip
    assert {answer.status for answer in answers} == {401}
    assert len({answer.body for answer in answers}) == 1
    assert (await site.user(person, OURS).get("/v2/")).status == 200


async def test_a_name_is_a_value_and_nothing_else(site: Site, slapd: Slapd, person: str) -> None:
    slapd.add_user(person, OURS)
    names = ["*", "{0}*", "{0})(uid=*", "*)(objectClass=*", "{0}\\2a", "{0}))(|(uid=*", "\\", "(", "{0}\x01", "é"]
    for name in names:
        assert (await site.user(name.format(person), OURS).get("/v2/")).status == 401, name
    assert (await site.user(person, OURS).get("/v2/")).status == 200


async def test_groups_come_and_go_with_each_login(site: Site, slapd: Slapd, clock: FakeClock, person: str) -> None:
    dn, other = slapd.add_user(person, OURS), slapd.add_user(f"{person}-b", OURS)
    for group, members in (("engineers", (dn, other)), ("bosses", (other,)), ("operators", (dn,))):
        slapd.add_group(group, *members)
    try:
        user, second = site.user(person, OURS), site.user(f"{person}-b", OURS)
        me = (await user.get("me")).json()
        assert me["organizations"] == [{"org": "acme", "role": "member"}]
        assert me["teams"] == [{"org": "acme", "team": "developers"}]
        assert me["account"]["admin"] is True
        assert (await user.get("users")).status == 200
        me = (await second.get("me")).json()
        assert (me["organizations"], me["account"]["admin"]) == ([{"org": "acme", "role": "owner"}], False)
        # Given by hand, it is not the directory's to take.
        await site.admin.make("orgs", {"name": "other-org"})
        assert (await site.admin.put(f"orgs/other-org/members/{person}", {"role": "member"})).status == 200
        slapd.set(f"cn=engineers,{GROUPS}", "member", other)
        slapd.set(f"cn=operators,{GROUPS}", "member", other)
        assert (await user.get("me")).json()["account"]["admin"] is True  # within the time it is believed
        clock.advance(CACHE)
        me = (await user.get("me")).json()
        assert me["organizations"] == [{"org": "other-org", "role": "member"}]
        assert (me["teams"], me["account"]["admin"]) == ([], False)
        assert (await user.get("users")).status == 403
        # The last owner stays one: nobody else could make another.
        slapd.set(f"cn=bosses,{GROUPS}", "member", dn)
        clock.advance(CACHE)
        assert (await second.get("me")).json()["organizations"] == [{"org": "acme", "role": "owner"}]
    finally:
        for group in ("engineers", "bosses", "operators"):
            slapd.change(f"dn: cn={group},{GROUPS}\nchangetype: delete\n")


async def test_a_changed_password_holds_within_the_time(
    site: Site, slapd: Slapd, clock: FakeClock, person: str
) -> None:
    dn = slapd.add_user(person, OURS)
    assert (await site.user(person, OURS).get("/v2/")).status == 200
    slapd.set(dn, "userPassword", "another one")
    assert (await site.user(person, "another one").get("/v2/")).status == 200
    clock.advance(CACHE)
    assert (await site.user(person, OURS).get("/v2/")).status == 401


async def test_whoever_is_disabled_there_is_refused_here(
    site: Site, slapd: Slapd, clock: FakeClock, person: str
) -> None:
    """With all that was got by the password: tokens, refresh tokens, sessions, keys."""
    dn = slapd.add_user(person, OURS)
    user = site.user(person, OURS)
    key = await user.key("read")
    tokens = await user.token(query="&offline_token=true")
    login = await site.nobody.post("login", {"name": person, "password": OURS})
    holders = [
        site.bearer(key["key"]),
        site.bearer(tokens["token"]),
        Api(site.client({"Cookie": login.headers["set-cookie"].partition(";")[0]})),
        user,
    ]
    await sweep(site)
    assert [(await holder.get("/v2/")).status for holder in holders] == [200] * 4
    slapd.set(dn, "employeeType", "disabled")
    await sweep(site)
    assert [(await holder.get("/v2/")).status for holder in holders] == [401] * 4
    refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert (await form(site.nobody, refresh)).status == 401
    # Enabled again, the next login opens the account; the key is good again, what had ended is not.
    slapd.set(dn, "employeeType")
    assert (await site.bearer(key["key"]).get("/v2/")).status == 401
    clock.advance(CACHE)
    assert [(await holder.get("/v2/")).status for holder in (user, *holders)] == [200, 200, 401, 401, 200]
    # Put out of use by an administrator, the directory does not open it; also if the directory was first.
    slapd.set(dn, "employeeType", "disabled")
    await sweep(site)
    assert (await site.admin.patch(f"users/{person}", {"active": False})).status == 200
    slapd.set(dn, "employeeType")
    clock.advance(CACHE)
    assert (await user.get("/v2/")).status == 401


async def test_a_name_that_is_taken_here_stays_whose_it_is(site: Site, slapd: Slapd, person: str) -> None:
    """A local account never asks the directory; a name that passed to another person is another account's."""
    dn = slapd.add_user(person, OURS)
    await site.admin.sign_up(person)
    assert (await site.user(person, OURS).get("/v2/")).status == 401
    assert (await site.user(person).get("/v2/")).status == 200
    slapd.add_user("admin", OURS)
    assert (await site.user("admin", OURS).get("/v2/")).status == 401
    dn = slapd.add_user(f"{person}-re", OURS)
    assert (await site.user(f"{person}-re", OURS).get("/v2/")).status == 200
    slapd.change(f"dn: {dn}\nchangetype: delete\n")
    slapd.add_user(f"{person}-re", "somebody else's")
    assert (await site.user(f"{person}-re", "somebody else's").get("/v2/")).status == 401


async def test_a_second_factor_of_ours_is_asked_for(site: Site, slapd: Slapd, clock: FakeClock, person: str) -> None:
    slapd.add_user(person, OURS)
    user = site.user(person, OURS)
    totp = pyotp.parse_uri((await user.post("me/second-factor")).json()["uri"])
    assert isinstance(totp, pyotp.TOTP)
    confirmed = await user.post("me/second-factor/confirm", {"code": totp.at(clock.now() // 1000)})
    assert confirmed.status == 200
    assert (await user.get("/v2/")).status == 401
    clock.advance(30)
    login = {"name": person, "password": OURS}
    assert (await site.nobody.post("login", login)).status == 401
    assert (await site.nobody.post("login", {**login, "code": totp.at(clock.now() // 1000)})).status == 200
    clock.advance(30)
    for number in range(5):  # a right password does not make guessing codes free
        assert (await site.nobody.post("login", {**login, "code": f"{number:06}"})).status == 401
    assert (await site.nobody.post("login", {**login, "code": totp.at(clock.now() // 1000)})).status == 429


async def test_a_passkey_of_ours_is_asked_for(site: Site, slapd: Slapd, person: str) -> None:
    slapd.add_user(person, OURS)
    key = Authenticator()
    assert (await add(site.user(person, OURS), key)).status == 201
    login = {"name": person, "password": OURS}
    assert (await site.nobody.post("login", login)).status == 401
    asked = await begun(site.nobody, "login/passkey", login)
    answer = {"state": asked["state"], "credential": key.get(asked["options"])}
    assert (await site.nobody.post("login", {**login, "passkey": answer})).status == 200


async def test_guessing_is_slowed(site: Site, slapd: Slapd, person: str) -> None:
    slapd.add_user(person, OURS)
    for _ in range(5):
        assert (await site.user(person, "a guess").get("/v2/")).status == 401
    answer = await site.user(person, OURS).get("/v2/")
    assert answer.status == 429
    assert int(answer.headers["retry-after"]) > 0


async def test_every_failure_takes_the_same_steps(
    folder: Path, clock: FakeClock, slapd: Slapd, certificate: tuple[Path, Path], person: str
) -> None:
    """Unknown, known here, known there: one slow hash each, and one round to the directory."""
    slapd.add_user(person, OURS)
    asked = []
    with proxy(slapd.tls_port) as (port, connections):
        settings = ldap(folder, slapd, certificate, ldap_url=f"ldaps://127.0.0.1:{port}")
        async with registry(folder, clock, **settings) as site:
            assert (await site.user(person, OURS).get("/v2/")).status == 200
            await site.admin.sign_up(f"{person}-here")
            passwords = site.registry.extensions.all("authenticators")[0].passwords
            for name in (person, f"{person}-here", f"{person}-nobody"):
                before = passwords.verified, len(connections)
                assert (await site.user(name, "wrong password").get("/v2/")).status == 401
                asked.append((passwords.verified - before[0], len(connections) - before[1]))
    assert asked == [(1, 1)] * 3


@contextlib.contextmanager
def proxy(port: int) -> Iterator[tuple[int, list[str]]]:
    """Passes connections on, and counts them."""
    seen: list[str] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                seen.append("connection")
                with client, socket.create_connection(("127.0.0.1", port)) as upstream:
                    back = threading.Thread(target=pump, args=(upstream, client))
                    back.start()
                    pump(client, upstream)
                    back.join()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], seen
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(30)


# --- when it is not there ---------------------------------------------------------------------------------------


async def test_without_the_directory(
    folder: Path, clock: FakeClock, certificate: tuple[Path, Path], person: str
) -> None:
    """503 for whom only it knows; local accounts go on. Nobody is put out of use because it does not answer."""
    with running_slapd(certificate) as slapd:
        slapd.add_user(person, OURS)
        settings = await prepared(folder, **ldap(folder, slapd, certificate))
        impatient = configured(folder, **ldap(folder, slapd, certificate, ldap_timeout=0.5))
        async with worker(settings, clock) as site, worker(impatient, clock) as hasty:
            key = await site.user(person, OURS).key("read")
            slapd.freeze()
            await refused_for_now(hasty, person, key["key"])
            slapd.stop()
            clock.advance(CACHE)
            await refused_for_now(site, person, key["key"])
            slapd.start()
            assert (await site.user(person, OURS).get("/v2/")).status == 200


async def refused_for_now(site: Site, person: str, key: str) -> None:
    """What does not need the directory goes on."""
    answer = await site.user(person, OURS).get("/v2/")
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0
    assert (await site.nobody.post("login", {"name": person, "password": OURS})).status == 503
    assert (await site.admin.get("/v2/")).status == 200
    with pytest.raises(Unavailable):
        await sweep(site)
    assert (await site.bearer(key).get("/v2/")).status == 200


@pytest.mark.parametrize("url", ["ldaps", "start_tls"])
async def test_a_certificate_that_nobody_knows(
    folder: Path, clock: FakeClock, slapd: Slapd, certificate: tuple[Path, Path], person: str, url: str
) -> None:
    slapd.add_user(person, OURS)
    settings = ldap(folder, slapd, certificate) | {
        "ldap_ca_file": None,
        "ldap_url": slapd.tls_url if url == "ldaps" else slapd.url,
    }
    async with registry(folder, clock, **settings) as site:
        assert (await site.user(person, OURS).get("/v2/")).status == 503


async def test_a_name_that_is_not_the_certificate_s(
    folder: Path, clock: FakeClock, slapd: Slapd, certificate: tuple[Path, Path], person: str
) -> None:
    slapd.add_user(person, OURS)
    settings = ldap(folder, slapd, certificate, ldap_url=slapd.tls_url.replace("127.0.0.1", "localhost"))
    async with registry(folder, clock, **settings) as site:
        assert (await site.user(person, OURS).get("/v2/")).status == 503


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"ldap_bind_dn": "", "ldap_password_file": None, "ldap_base": "", "ldap_user_dn": "uid={name}," + PEOPLE},
    ],
    ids=["search", "template"],
)
async def test_start_tls_and_templates(
    folder: Path, clock: FakeClock, slapd: Slapd, certificate: tuple[Path, Path], person: str, more: dict[str, Any]
) -> None:
    slapd.add_user(person, OURS)
    slapd.add_user(f"{person}-off", OURS, employeeType="disabled")
    slapd.add_user(f"{person}\\, cn=x".replace("\\, cn=x", "-c"), OURS)
    settings = ldap(folder, slapd, certificate, ldap_url=slapd.url, ldap_group_base="") | more
    async with registry(folder, clock, **settings) as site:
        assert (await site.user(person, OURS).get("me")).json()["account"]["name"] == person
        for name, password in ((person, "wrong"), (person, ""), (f"{person}-off", OURS), (f"{person},x=y", OURS)):
            assert (await site.user(name, password).get("/v2/")).status == 401


async def test_groups_of_the_entry_itself(
    folder: Path, clock: FakeClock, slapd: Slapd, certificate: tuple[Path, Path], person: str
) -> None:
    """`memberOf`, as Active Directory has it."""
    slapd.add_group(f"team-{person}", slapd.add_user(person, OURS))
    groups = {f"CN=team-{person},{GROUPS}": "acme/developers"}
    settings = ldap(folder, slapd, certificate, ldap_group_base="", ldap_groups=groups)
    async with registry(folder, clock, **settings) as site:
        me = (await site.user(person, OURS).get("me")).json()
        assert me["teams"] == [{"org": "acme", "team": "developers"}]


async def test_referrals_are_not_followed(
    folder: Path, clock: FakeClock, slapd: Slapd, certificate: tuple[Path, Path], person: str
) -> None:
    slapd.add_user(person, OURS)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        where = f"ldap://127.0.0.1:{listener.getsockname()[1]}/{PEOPLE}"
        slapd.change(
            f"dn: ou=elsewhere,{PEOPLE}\nobjectClass: referral\nobjectClass: extensibleObject\n"
            f"ou: elsewhere\nref: {where}\n",
            "-a",
        )
        try:
            async with registry(folder, clock, **ldap(folder, slapd, certificate)) as site:
                assert (await site.user(person, OURS).get("/v2/")).status == 200
                assert (await site.user(f"{person}x", OURS).get("/v2/")).status == 401
            with pytest.raises(BlockingIOError):
                listener.accept()
        finally:
            slapd.change(f"dn: ou=elsewhere,{PEOPLE}\nchangetype: delete\n", "-M")


@pytest.mark.client
def test_a_real_server_asks_by_start_tls(
    tmp_path: Path, home: Path, slapd: Slapd, certificate: tuple[Path, Path], person: str
) -> None:
    """Its own event loop, its own processes, a client program; neither password nor secret is logged."""
    skopeo = Client(require("skopeo"), home, env={"XDG_RUNTIME_DIR": str(home)})
    slapd.add_user(person, OURS)
    settings = ldap(tmp_path, slapd, certificate, ldap_url=slapd.url)
    del settings["ldap_groups"]
    env = {f"GATI_IDENTITY__{name.upper()}": str(value) for name, value in settings.items()}
    with server(tmp_path, workers=2, GATI_LOG__LEVEL="debug", **env) as running:
        for password, status in ((OURS, 200), ("wrong password", 401), (OURS, 200)):
            answer = httpx.get(f"{running.url}{EXT}/me", auth=(person, password), timeout=60)
            assert answer.status_code == status, answer.text
        host = running.url.removeprefix("http://")
        login = ("login", "--tls-verify=false", "-u", person, "--password-stdin", host)
        assert "invalid username/password" in skopeo.fails(*login, stdin="wrong password")
        assert "Login Succeeded" in skopeo(*login, stdin=OURS)
        said = running.stderr()
    for text in (OURS, "wrong password", READER_PASSWORD, ADMIN_PASSWORD):
        assert text not in said
