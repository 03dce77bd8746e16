"""LDAP's own words: answers that are none, filters, names in DNs, settings of a directory."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from gati_extensions.identity.ldap.ber import Reader
from gati_extensions.identity.ldap.client import DirectoryError, _entry, _parsed, _result
from gati_extensions.identity.ldap.directory import Directory
from gati_extensions.identity.ldap.filters import Filter, escaped_dn
from gati_extensions.identity.settings import IdentitySettings
from gati_registry.errors import Unavailable
from gati_registry.settings import SettingsError
from tests.extensions.identity.support import prepared
from tests.extensions.identity.test_ldap import OURS, person, slapd
from tests.serving.conftest import certificate
from tests.support.slapd import BASE, READER, READER_PASSWORD, Slapd

__all__ = ["certificate", "person", "slapd"]

pytestmark = pytest.mark.anyio

_BOUND = bytes.fromhex("300c02010261070a010004000400")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\x30",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x30\x84\xff\xff\xff\xff",  # an answer of 4 GiB
        b"\x30\x80\x02\x01\x02\x00\x00",  # an indefinite length
        b"\x30\x05\x02\x01\x02\x61\x7f",  # more inside than there is
        bytes.fromhex("300c02010061070a010004000400"),  # a notice, not the answer
        bytes.fromhex("300c02010265070a010004000400"),  # of another kind
        _BOUND[:-1],
        _BOUND + b"\x30\x05\x02\x01\x03\x64\x00",  # an entry without anything
        _BOUND + bytes.fromhex("300c020103640730050402ffff3000"),
    ],
)
async def test_what_is_no_ldap(folder: Path, said: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read(10)
            writer.write(said)
            await writer.drain()
            writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable):
            await plain(folder, port).login("alice", OURS)


async def test_what_comes_before_tls_is_not_read_as_if_it_came_after(folder: Path) -> None:
    """The answer to StartTLS with an answer of a later bind right behind it."""
    accepted = bytes.fromhex("300c02010178070a010004000400")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read(10)
            writer.write(accepted + _BOUND)
            await writer.drain()
            writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable):
            await plain(folder, port, ldap_start_tls=True).login("alice", OURS)


@hypothesis.settings(max_examples=300, deadline=None, suppress_health_check=list(hypothesis.HealthCheck), database=None)
@hypothesis.given(st.binary(max_size=60), st.sampled_from([b"", _BOUND, bytes.fromhex("300b020102640604016131010000")]))
def test_no_bytes_are_more_than_no_ldap(data: bytes, before: bytes) -> None:
    """Whatever comes is a message, or an error of ours."""
    with contextlib.suppress(DirectoryError):
        tag, body = _parsed(before + data, 2)
        for read in (_result, _entry):
            with contextlib.suppress(DirectoryError):
                read(body)
        assert 0 <= tag < 256


@hypothesis.settings(max_examples=300, deadline=None, suppress_health_check=list(hypothesis.HealthCheck), database=None)
@hypothesis.given(st.text(alphabet="(&|!)=*\\{name}:<>~2au ", max_size=40), st.binary(max_size=20))
def test_a_filter_is_read_or_refused(text: str, value: bytes) -> None:
    """And what is read is one element, whatever goes into its places."""
    with contextlib.suppress(ValueError):
        data = Filter.parse(text).encode({"name": value, "dn": value})
        reader = Reader(data)
        reader.next()
        assert not reader.more


async def test_no_more_connections_than_the_settings_say(folder: Path) -> None:
    """Whoever comes later waits, within the time that a login may take."""
    made: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()

    def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.put_nowait(writer)

    listening = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        directory = plain(folder, port, ldap_connections=2)
        logins = [asyncio.create_task(directory.login("alice", OURS)) for _ in range(12)]
        writers = [await made.get() for _ in range(2)]
        await asyncio.sleep(0.2)
        assert made.empty()
        for login in logins:
            login.cancel()
        await asyncio.gather(*logins, return_exceptions=True)
        for writer in writers:
            writer.close()


def plain(folder: Path, port: int, **more: Any) -> Directory:
    """A directory without TLS."""
    secret = folder / "reader"
    secret.write_text(READER_PASSWORD)
    values = {
        "ldap_url": f"ldap://127.0.0.1:{port}",
        "ldap_start_tls": False,
        "ldap_bind_dn": READER,
        "ldap_password_file": str(secret),
        "ldap_base": BASE,
        "ldap_timeout": 20,
    }
    return Directory(IdentitySettings.model_validate({**values, **more}), logging.getLogger(__name__))


@pytest.mark.parametrize(
    "text",
    ["", "uid={name}", "(uid={name}", "(uid={name}))", "(&(uid=x)", "()", "(=x)", "(uid={password})", "(uid=\\2)",
     "(u id=x)", "(" * 50 + "uid=x" + ")" * 50, "(&" * 40 + "(uid=x)" + ")" * 40],
)  # fmt: skip
async def test_a_filter_that_cannot_be_read_stops_the_start(folder: Path, text: str) -> None:
    with pytest.raises(ValueError):
        Filter.parse(text)
    with pytest.raises(SettingsError, match=r"identity\.ldap_filter"):
        await prepared(folder, ldap_filter=text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("(uid={name})", True),
        ("(&(objectClass=inetOrgPerson)(|(uid={name})(mail={name})))", True),
        ("(&(uid={name})(!(sn=nobody)))", True),
        ("(&(uid={name})(cn=*))", True),
        ("(&(uid={name})(uid=per*on*))", True),
        ("(&(uid={name})(uid=*xx*))", False),
        ("(&(uid={name})(sn>=a)(sn<=z)(sn~=person))", False),
        ("(&(uid={name})(uid:caseExactMatch:=PERSON))", False),
        ("(&(uid={name})(ou:dn:=people))", True),
        ("(&(uid={name})(cn=\\50erson*))", True),
    ],
)
async def test_filters_find_what_they_say(slapd: Slapd, folder: Path, person: str, text: str, found: bool) -> None:
    slapd.add_user(person, OURS)
    directory = plain(folder, slapd.port, ldap_filter=text)
    who = await directory.login(person, OURS)
    assert (who is not None) == found
    assert who is None or await directory.present([who.subject, "gone"]) == {who.subject}


def test_values_in_a_dn() -> None:
    assert escaped_dn('a,b+c"d\\e<f>g;h=i\0') == 'a\\,b\\+c\\"d\\\\e\\<f\\>g\\;h\\=i\\00'
    assert [escaped_dn(text) for text in (" a ", "#a", " ", "a#")] == ["\\ a\\ ", "\\#a", "\\ ", "a#"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"ldap_url": "http://x"}, "ldap_url"),
        ({"ldap_url": "ldap://x"}, "ldap_base"),
        ({"ldap_url": "ldap://x", "ldap_user_dn": "uid=x"}, "ldap_user_dn"),
        ({"ldap_url": "ldap://x", "ldap_base": "dc=x", "ldap_bind_dn": "cn=x"}, "ldap_password_file"),
        ({"ldap_url": "ldap://x", "ldap_base": "dc=x", "ldap_ca_file": "/nonexistent"}, "ldap_ca_file"),
        ({"ldap_groups": {"a": "acme:boss"}}, "ldap_groups"),
        ({"ldap_groups": "no json"}, "ldap_groups"),
    ],
)
async def test_settings_that_do_not_go_together(folder: Path, more: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        await prepared(folder, **more)
