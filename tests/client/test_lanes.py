"""The short way for what is much or many: over TLS, over links that break, and with servers that are not as usual."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import ipaddress
import os
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gati_client import BytesSource, Client, Descriptor, FileSource, Integrity, Layer, Network
from gati_client.transport import Transport
from tests.client.support import QUICK, Request, answer, answering, linked
from tests.support.server import RegistryProcess

OCTETS = "application/octet-stream"
BIG = 70 << 20  # sent while its digest is being found out
MANY = 150
REPOSITORY = "library/lanes"


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def _certified(name: str, folder: Path) -> tuple[Path, Path, Path]:
    """An authority of our own, and a certificate of it for 127.0.0.1 with its key, as PEM files."""
    now = datetime.datetime.now(datetime.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, each)]) for each in (name, "127.0.0.1")]
    files = []
    for number in range(2):
        builder = (
            x509.CertificateBuilder()
            .subject_name(names[number])
            .issuer_name(names[0])
            .public_key(keys[number].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=number == 0, path_length=None), critical=True)
        )
        if number == 1:
            address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
            builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
        files.append(folder / f"{number}.pem")
        made = builder.sign(keys[0], hashes.SHA256())
        files[number].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key = folder / "key.pem"
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key.write_bytes(keys[1].private_bytes(encoding, form, serialization.NoEncryption()))
    return files[0], files[1], key


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RegistryProcess, Path]]:
    """A registry with TLS, and the authority to trust."""
    folder = tmp_path_factory.mktemp("secure")
    authority, certificate, key = _certified("ours", folder)
    args = ("--open", "--tls-cert", str(certificate), "--tls-key", str(key))
    server = RegistryProcess(folder / "data", args=args, scheme="https").start()
    yield server, authority
    server.terminate()


def _files(folder: Path, big: int = BIG) -> list[Path]:
    """One big file and many small ones, two of them the same."""
    folder.mkdir()
    for number in range(MANY):
        (folder / f"{number:03}").write_bytes(b"again" if number < 2 else os.urandom(number * 20))
    (folder / "big").write_bytes(os.urandom(big))
    return sorted(folder.iterdir())


async def _round(client: Client, files: list[Path], out: Path) -> None:
    """Push all, pull all, compare."""
    layers = [Layer(FileSource(path), OCTETS, path.name) for path in files]
    told: Counter[str] = Counter()

    def tell(what: str, done: int, total: int) -> None:
        assert 0 <= done <= total
        told[what] += done == total

    await client.artifacts.push(
        REPOSITORY, artifact_type="a/b", config=b"{}", config_type="a/c", layers=layers, tags=["v1"], progress=tell
    )
    assert all(told[path.name] for path in files)
    out.mkdir()
    manifest = await client.artifacts.manifest(REPOSITORY, "v1")
    await client.artifacts.download_all(
        REPOSITORY, [(layer, out / (layer.title or "")) for layer in manifest.layers], tell
    )
    assert all(told[path.name] > 1 for path in files)
    assert sorted(path.name for path in out.iterdir()) == [path.name for path in files]
    assert all((out / path.name).read_bytes() == path.read_bytes() for path in files)


def test_much_and_many(registry: RegistryProcess, tmp_path: Path) -> None:
    """Also a second time, where all of it is there."""
    files = _files(tmp_path / "files")

    async def test() -> None:
        for turn in range(2):
            async with Client(registry.host, patience=QUICK) as client:
                await _round(client, files, tmp_path / f"out{turn}")

    run(test)


def test_tls_and_a_link_that_breaks(
    secure: tuple[RegistryProcess, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, authority = secure
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    files = _files(tmp_path / "files")

    async def test() -> None:
        with linked(server.port) as link:
            # Twice on the way up, twice on the way down.
            link.cuts = [20 << 20, 60 << 20, 100 << 20, 140 << 20]
            async with Client(f"https://{link.host}") as client:
                await _round(client, files, tmp_path / "out")
            assert link.broken == 4
            assert link.up < BIG * 2  # what came of a chunk was kept
            assert link.down < BIG * 2

    run(test)


def test_tls_of_a_stranger(
    secure: tuple[RegistryProcess, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is not vouched for gets no request."""
    folder = tmp_path / "other"
    folder.mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(_certified("another", folder)[0]))

    async def test() -> None:
        with linked(secure[0].port) as link:
            async with Client(f"https://{link.host}", patience=QUICK) as client:
                with pytest.raises(Network, match="CERTIFICATE_VERIFY"):
                    await client.artifacts.put_blob(REPOSITORY, BytesSource(b"secret" * 1000), "sha256:" + "0" * 64)
            assert link.up < 6000

    run(test)


BLOBS = [b"%d" % number * 50 for number in range(60)]
WANTED = [Descriptor(OCTETS, f"sha256:{hashlib.sha256(blob).hexdigest()}", len(blob)) for blob in BLOBS]


def _chunked(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + b"%x\r\n%s\r\n0\r\n\r\n" % (
        len(body), body
    )  # fmt: skip


ODD: dict[str, Callable[[bytes], bytes]] = {
    "chunked": _chunked,
    "busy": lambda _: answer(503, b"later"),
    "challenge": lambda _: answer(401, b""),
    "shorter": lambda body: answer(200, body[:-1]),
    "ended": lambda body: answer(200, body)[:-1],
    "other bytes": lambda body: answer(200, b"x" * len(body)),
    "two lengths": lambda body: answer(200, body).replace(b"\r\n\r\n", b"\r\nContent-Length: 7\r\n\r\n", 1),
    "announcements": lambda _: b"HTTP/1.1 100 Continue\r\n\r\n" * 20,
    "nonsense": lambda _: b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "nothing": lambda _: b"",
}


KEPT = {"Connection": "keep-alive"}


@pytest.mark.parametrize("kept", [{}, KEPT], ids=["closing", "kept"])
@pytest.mark.parametrize("odd", ODD)
def test_a_server_that_is_odd_at_times(odd: str, kept: dict[str, str], tmp_path: Path) -> None:
    """Whatever an answer is, each file is right in the end; also where others were asked for behind it."""
    seen: Counter[str] = Counter()

    def respond(request: Request) -> bytes:
        name = request.path.rpartition("/")[2]
        number = next((n for n, wanted in enumerate(WANTED) if wanted.digest == name), None)
        if number is None:
            return answer(200, b"{}", {"Content-Type": "application/vnd.oci.image.manifest.v1+json"})
        seen[name] += 1
        odd_now = number == (40 if kept else 3) and seen[name] == 1
        return ODD[odd](BLOBS[number]) if odd_now else answer(200, BLOBS[number], kept)

    async def test() -> None:
        async with answering(respond) as server, Client(server.host, patience=QUICK) as client:
            await client.artifacts.manifest("a/b", "v1")
            files = [tmp_path / str(number) for number in range(len(BLOBS))]
            await client.artifacts.download_all("a/b", list(zip(WANTED, files, strict=True)))
            assert [file.read_bytes() for file in files] == BLOBS
            assert len(list(tmp_path.iterdir())) == len(BLOBS)

    run(test)


@pytest.mark.parametrize("each", [1, 2, 5])
def test_a_server_that_answers_a_few_on_each_connection(each: int, tmp_path: Path) -> None:
    """What was asked behind the last is asked again, still by the short way."""
    answered: Counter[str] = Counter()

    def respond(request: Request) -> bytes:
        if "/manifests/" in request.path:
            return answer(200, b"{}", {"Content-Type": "application/vnd.oci.image.manifest.v1+json"})
        digest = request.path.rpartition("/")[2]
        number = next(n for n, wanted in enumerate(WANTED) if wanted.digest == digest)
        answered[digest] += 1
        return answer(200, BLOBS[number], KEPT if answered.total() % each else {})

    async def test() -> None:
        async with answering(respond) as server, Client(server.host, patience=QUICK) as client:
            await client.artifacts.manifest("a/b", "v1")
            files = [tmp_path / str(number) for number in range(len(BLOBS))]
            await client.artifacts.download_all("a/b", list(zip(WANTED, files, strict=True)))
            assert [file.read_bytes() for file in files] == BLOBS
            assert set(answered) == {wanted.digest for wanted in WANTED}

    run(test)


def test_a_server_that_has_something_else(tmp_path: Path) -> None:
    def respond(request: Request) -> bytes:
        if "/manifests/" in request.path:
            return answer(200, b"{}", {"Content-Type": "application/vnd.oci.image.manifest.v1+json"})
        return answer(200, b"x" * len(BLOBS[0]))

    async def test() -> None:
        async with answering(respond) as server, Client(server.host, patience=QUICK) as client:
            await client.artifacts.manifest("a/b", "v1")
            with pytest.raises(Integrity):
                await client.artifacts.download_all("a/b", [(WANTED[0], tmp_path / "file")])
            assert not list(tmp_path.iterdir())

    run(test)


def test_an_answer_that_nobody_asked_for_is_none() -> None:
    """What a server adds to an answer is not the answer to what is asked next."""

    def respond(request: Request) -> bytes:
        return answer(200, request.path.encode(), KEPT) + answer(200, b"planted", KEPT)

    async def test() -> None:
        async with answering(respond) as server:
            transport = Transport(server.host, patience=QUICK)
            for path in ("/v2/one", "/v2/two", "/v2/three"):
                assert (await transport.ask("GET", path, action="answer")).body == path.encode()
            await transport.close()

    run(test)


def test_what_progress_raises_ends_it(registry: RegistryProcess, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(what: str, done: int, total: int) -> None:
        raise Stop

    async def test() -> None:
        (tmp_path / "big").write_bytes(os.urandom(BIG))
        layer = Layer(FileSource(tmp_path / "big"), OCTETS, "big")
        async with Client(registry.host, patience=QUICK) as client:
            with pytest.raises(Stop):
                await client.artifacts.push(
                    REPOSITORY, artifact_type="a/b", config=b"{}", config_type="a/c", layers=[layer], progress=stop
                )

    run(test)
