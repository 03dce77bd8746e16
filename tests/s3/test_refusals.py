"""What stops a start: one clear line that names the remedy and no secret."""

from __future__ import annotations

import asyncio
import http.server
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gati_registry.bootstrap import prepare
from gati_registry.errors import Unavailable
from gati_registry.settings import S3, Settings
from tests.clients.programs import require
from tests.s3.test_serving import command
from tests.support.minio import BUCKET, PASSWORD, USER, MinioServer, running_minio
from tests.support.server import RegistryProcess, free_port

WRONG = "a-wrong-secret-key"


@dataclass(frozen=True, slots=True)
class Canned:
    """A server that gives one answer to everything."""

    status: int
    media_type: str
    body: bytes


@pytest.fixture
def canned(request: pytest.FixtureRequest) -> Iterator[str]:
    """The endpoint of a server that gives the test's answer."""
    answer: Canned = request.param

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.media_type)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def starting(folder: Path, url: str, **environment: str) -> str:
    """What stops a start with these blobs."""
    settings = Settings(data=folder / "data", open=True, blobs_url=url, s3=S3(timeout=1))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"HOME": str(folder), **environment}.items():
            patch.setenv(name, value)
        with pytest.raises(Unavailable) as refused:
            asyncio.run(prepare(settings))
    line = str(refused.value)
    assert "\n" not in line
    assert not any(secret in line for secret in (PASSWORD, WRONG, USER))
    return line


def test_wrong_credentials(minio: MinioServer, prefix: str, tmp_path: Path) -> None:
    url = minio.url(prefix)
    assert "check AWS_SECRET_ACCESS_KEY" in starting(tmp_path, url, AWS_SECRET_ACCESS_KEY=WRONG)
    assert "check AWS_ACCESS_KEY_ID" in starting(tmp_path, url, AWS_ACCESS_KEY_ID="nobody")
    absent = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in starting(tmp_path, url, **absent)


def test_a_file_of_credentials_is_as_good_as_variables(
    minio: MinioServer, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "credentials"
    path.write_text(f"[default]\naws_access_key_id = {USER}\naws_secret_access_key = {PASSWORD}\n")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    asyncio.run(prepare(Settings(data=tmp_path / "data", open=True, blobs_url=minio.url(prefix))))


def test_a_missing_bucket(minio: MinioServer, prefix: str, tmp_path: Path) -> None:
    url = minio.url(prefix).replace(f"s3://{BUCKET}/", "s3://nonesuch/")
    assert "there is no such bucket" in starting(tmp_path, url)


def test_nobody_there(tmp_path: Path) -> None:
    url = f"s3://{BUCKET}/x?endpoint=http://127.0.0.1:{free_port()}"
    assert "S3 does not answer (NewConnectionError)" in starting(tmp_path, url)


def test_a_bucket_in_another_region(tmp_path: Path) -> None:
    with running_minio(tmp_path, region="eu-central-1") as abroad:
        asyncio.run(prepare(Settings(data=tmp_path / "data", open=True, blobs_url=abroad.url("x"))))
        wrong = abroad.url("x").replace("eu-central-1", "us-east-1")
        assert "the bucket lies in another region; name it as region= in blobs_url" in starting(tmp_path, wrong)


@pytest.mark.parametrize("offset", ["+20m", "-20m"])
def test_a_clock_that_is_wrong(minio: MinioServer, prefix: str, tmp_path: Path, offset: str) -> None:
    """S3 itself bears a quarter of an hour."""
    env = {"GATI_BLOBS_URL": minio.url(prefix)}
    wrapper = (str(require("faketime")), "-m", "-f", offset)
    registry = RegistryProcess(tmp_path / "data", env=env, wrapper=wrapper)
    with pytest.raises(AssertionError, match="did not start"):
        registry.start()
    (line,) = registry.stderr().splitlines()
    assert "S3 refuses the registry (RequestTimeTooSkewed): its clock and ours differ too much" in line


def _refusal(code: str) -> Canned:
    return Canned(403, "application/xml", f"<Error><Code>{code}</Code><Message>{WRONG}</Message></Error>".encode())


@pytest.mark.parametrize(
    ("canned", "told"),
    [
        (_refusal("RequestTimeTooSkewed"), "set this machine's time"),
        (_refusal("AccessDenied"), "grant it reading, writing, deleting and listing"),
        (_refusal("AuthorizationHeaderMalformed"), "region="),
        (_refusal("SomethingNew"), "S3 failed (SomethingNew)"),
        (Canned(404, "text/html", b"<html>not S3</html>"), "does not answer as S3 does"),
        (Canned(200, "text/html", b"<p>not S3</html>"), "makes no sense"),
    ],
    indirect=["canned"],
    ids=["clock", "rights", "region", "unknown", "another server", "another 200"],
)
def test_a_server_that_refuses(canned: str, told: str, tmp_path: Path) -> None:
    assert told in starting(tmp_path, f"s3://{BUCKET}/x?endpoint={canned}")


def test_the_commands_say_so_in_one_line(minio: MinioServer, prefix: str, tmp_path: Path) -> None:
    sound = {**os.environ, "GATI_BLOBS_URL": minio.url(prefix)}
    checked = command(tmp_path / "data", sound, "check")
    assert (checked.returncode, "blobs: ok: the bucket answers" in checked.stdout) == (0, True), checked.stdout
    wrong = {**sound, "AWS_SECRET_ACCESS_KEY": WRONG}
    checked = command(tmp_path / "data", wrong, "check")
    assert checked.returncode == 1
    assert "blobs: FAILED: UNAVAILABLE: S3 refuses the registry" in checked.stdout
    served = command(tmp_path / "data", wrong, "serve", "--open")
    assert served.returncode == 1
    assert len(served.stderr.splitlines()) == 1
    assert "check AWS_SECRET_ACCESS_KEY" in served.stderr
    assert WRONG not in served.stdout + served.stderr + checked.stdout


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket/prefix",
        "s3://B/x?endpoint=http://h",
        "s3://u:p4ss@bucket/x?endpoint=http://h",
        "s3://bucket/../x?endpoint=http://h",
        "s3://bucket/x?endpoint=ftp://h",
        "s3://bucket/x?endpoint=http://u:p4ss@h",
        "s3://bucket/x?endpoint=http://h/path",
        "s3://bucket/x?endpoint=http://h:99999",
        "s3://bucket/x?endpoint=http://h&endpoint=http://h",
        "s3://bucket/x?endpoint=http://h&secret=p4ss",
        "s3://bucket/x?endpoint=http://h&region=a%0Ab",
    ],
)
def test_a_url_that_is_none_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected s3://BUCKET/PREFIX\?endpoint=") as refused:
        Settings(data=tmp_path, blobs_url=url)
    assert "p4ss" not in str(refused.value)


def test_a_key_goes_with_its_encryption() -> None:
    for section in (S3(encryption="sse-kms"), S3(kms_key="named")):
        with pytest.raises(ValueError, match=r"s3\.kms_key"):
            Settings(s3=section)
