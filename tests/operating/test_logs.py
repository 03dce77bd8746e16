"""Logs of a real server: JSON lines, each with its request, no secrets."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from gati_registry.http.observe import logs
from tests.serving.processes import demo, started
from tests.serving.raw import RawClient, get
from tests.support.server import RegistryProcess


def _lines(server: RegistryProcess) -> list[dict[str, Any]]:
    """Every line that the server wrote; fails on one that is not JSON."""
    return [json.loads(line) for line in server.stderr().splitlines()]


def _run(server: RegistryProcess, *requests: tuple[str, str, tuple[str, ...]]) -> list[dict[str, Any]]:
    with started(server):
        for method, path, headers in requests:
            client = RawClient(server.host)
            client.request(method, path, *headers)
            client.head()
            client.close()
        assert server.terminate() == 0
        return _lines(server)


def test_an_access_line_has_what_an_operator_asks_for(tmp_path: Path, http_server: str) -> None:
    headers = ("X-Request-ID: my-id.1", 'User-Agent: quo"te', "Content-Length: 0")
    [line] = _run(
        RegistryProcess(tmp_path / "data", args=["--open", "--server", http_server]),
        ("POST", "/v2/a/b/blobs/uploads/?x=%22", headers),
    )
    assert line["time"].endswith("Z")
    assert (line["level"], line["message"]) == ("info", "request")
    assert (line["request_id"], line["client"]) == ("my-id.1", "127.0.0.1")
    assert (line["method"], line["path"], line["query"]) == ("POST", "/v2/a/b/blobs/uploads/", "x=%22")
    assert (line["protocol"], line["status"], line["user_agent"]) == ("HTTP/1.1", 202, 'quo"te')
    assert line["duration_ms"] > 0
    assert (line["bytes_in"], line["bytes_out"]) == (0, 0)


def test_secrets_are_masked(tmp_path: Path, http_server: str) -> None:
    secret = "c2VjcmV0OnNlY3JldA"
    lines = _run(
        demo(tmp_path / "data", "--server", http_server),
        ("GET", f"/hello?a=1&token={secret}&X-Amz-Signature={secret}&b=2", (f"Cookie: s={secret}",)),
        ("GET", f"/error?password={secret}", (f"Authorization: Basic {secret}",)),
    )
    assert secret not in json.dumps(lines)
    assert lines[-2]["query"] == "a=1&token=***&X-Amz-Signature=***&b=2"
    [failure] = [line for line in lines if "exception" in line]
    assert "ValueError" in failure["exception"]
    assert "abcdef123456" not in failure["exception"]


def test_an_error_and_its_access_line_share_the_request_id(tmp_path: Path, http_server: str) -> None:
    lines = _run(demo(tmp_path / "data", "--server", http_server), ("GET", "/error", ("X-Request-ID: e1",)))
    assert [line["message"] for line in lines] == ["unexpected error in GET /error", "request"]
    assert {line["request_id"] for line in lines} == {"e1"}
    assert {line["level"] for line in lines} == {"error"}
    assert lines[1]["status"] == 500


def test_reads_can_be_left_out_but_their_errors_not(tmp_path: Path) -> None:
    server = demo(tmp_path / "data", env={"GATI_LOG__READS": "false"})
    with started(server):
        assert get(server.host, "/hello").status == 200
        assert get(server.host, "/absent").status == 404
        client = RawClient(server.host)
        client.request("PUT", "/sink", "Content-Length: 0")
        assert client.answer().status == 200
        assert server.terminate() == 0
    assert [(line["method"], line["status"]) for line in _lines(server)] == [("GET", 404), ("PUT", 200)]


def test_the_level_holds_for_the_access_log_too(tmp_path: Path) -> None:
    server = demo(tmp_path / "data", env={"GATI_LOG__LEVEL": "error"})
    with started(server):
        assert get(server.host, "/hello").status == 200
        assert get(server.host, "/gone").status == 503
        assert server.terminate() == 0
    assert [line["status"] for line in _lines(server)] == [503]


def test_a_client_that_goes_away_is_499(tmp_path: Path, http_server: str) -> None:
    server = demo(tmp_path / "data", "--server", http_server)
    with started(server):
        client = RawClient(server.host)
        client.request("PUT", "/sink", "Content-Length: 10", body=b"half")
        client.close()
        assert get(server.host, "/hello").status == 200
        assert server.terminate() == 0
    [gone] = [line for line in _lines(server) if line["method"] == "PUT"]
    assert (gone["status"], gone["complete"]) == (499, False)


def test_nothing_but_the_url_goes_to_standard_output_and_a_password_is_told_once(tmp_path: Path) -> None:
    server = RegistryProcess(tmp_path / "data", args=[])
    with started(server):
        assert server.terminate() == 0
    told = [line for line in server.stderr().splitlines() if "password" in line]
    assert len(told) == 1
    with started(server):
        assert server.terminate() == 0
    assert [line for line in server.stderr().splitlines() if "password" in line] == told


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Authorization: Bearer abc.def.ghi", "Authorization: ***"),
        ("{'authorization': 'Basic dXNlcjpwYXNz', 'x': 1}", "{'authorization': '***', 'x': 1}"),
        ("sent Bearer abc.def.ghi to it", "sent Bearer *** to it"),
        ("postgresql://user:secret@host/db", "postgresql://user:***@host/db"),
        ("GET /token?refresh_token=abc&service=x", "GET /token?refresh_token=***&service=x"),
        ("Set-Cookie: a=b", "Set-Cookie: ***"),
        ("basic manners and a bearer of news", "basic manners and a bearer of news"),
        ("sha256:abc at http://127.0.0.1:5000/v2/", "sha256:abc at http://127.0.0.1:5000/v2/"),
    ],
)
def test_masking_of_free_text(text: str, masked: str) -> None:
    assert logs.mask_text(text) == masked


@pytest.mark.parametrize(
    ("query", "masked"),
    [
        ("digest=sha256:abc&_state=x", "digest=sha256:abc&_state=x"),
        ("token=a", "token=***"),
        ("access_token=a&n=1", "access_token=***&n=1"),
        ("PASSWORD=a&client_secret=b", "PASSWORD=***&client_secret=***"),
        ("code=a&code_hint=b", "code=***&code_hint=b"),
    ],
)
def test_masking_of_queries(query: str, masked: str) -> None:
    assert logs.mask_query(query) == masked


def test_a_record_keeps_its_fields() -> None:
    record = logging.makeLogRecord({"msg": "moved %d", "args": (3,), "levelname": "INFO", "levelno": 20})
    record.repository = "a/b"
    line = json.loads(logs.JsonHandler().format(record))
    assert (line["message"], line["repository"], line["level"]) == ("moved 3", "a/b", "info")
    assert "request_id" not in line
