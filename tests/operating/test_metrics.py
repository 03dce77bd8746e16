"""`/metrics` of a real server: right numbers, summed over workers, kept over a worker's death."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gati_registry.http.observe.board import HALF, Board
from gati_registry.http.observe.metrics import Metrics
from tests.serving.processes import demo, started
from tests.serving.raw import RawClient, get
from tests.support.server import RegistryProcess, wait_for

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def _samples(server: RegistryProcess) -> Samples:
    answer = get(server.host, "/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def _value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, frozenset(labels.items())), 0.0)


def test_requests_bytes_and_latency(tmp_path: Path, http_server: str) -> None:
    with started(RegistryProcess(tmp_path / "data", args=["--open", "--server", http_server])) as server:
        for _ in range(3):
            assert get(server.host, "/v2/").status == 200
        client = RawClient(server.host)
        client.request("POST", "/v2/a/blobs/uploads/?digest=sha256:00", "Content-Length: 5", body=b"hello")
        assert client.answer().status == 400
        assert get(server.host, "/v2/a/manifests/absent").status == 404
        client.request("PROPFIND", "/v2/a/manifests/absent")
        assert client.answer().status == 405
        samples = _samples(server)
    base = {"route": "/v2/", "method": "GET"}
    assert _value(samples, "gati_http_requests_total", **base, status="200") == 3
    assert _value(samples, "gati_http_sent_bytes_total", **base, status="200") == 6
    assert _value(samples, "gati_http_request_seconds_count", **base) == 3
    assert _value(samples, "gati_http_request_seconds_bucket", **base, le="+Inf") == 3
    uploads = {"route": "/v2/<name>/blobs/uploads/", "method": "POST", "status": "400"}
    assert _value(samples, "gati_http_requests_total", **uploads) == 1
    assert _value(samples, "gati_http_received_bytes_total", **uploads) == 5
    manifests = "/v2/<name>/manifests/<reference>"
    assert _value(samples, "gati_http_requests_total", route=manifests, method="GET", status="404") == 1
    assert _value(samples, "gati_http_requests_total", route=manifests, method="other", status="405") == 1
    assert _value(samples, "gati_process_resident_bytes", worker="0") > 10_000_000
    assert _value(samples, "gati_workers") == 1


def test_open_uploads_are_counted_where_they_are(tmp_path: Path) -> None:
    with started(RegistryProcess(tmp_path / "data", args=["--open"])) as server:
        client = RawClient(server.host)
        for turn in range(3):
            client.request("POST", "/v2/a/blobs/uploads/", "Content-Length: 0")
            location = "/v2/" + client.answer().headers["location"].partition("/v2/")[2]
            if turn:  # what has no bytes yet takes no room
                client.request("PATCH", location, "Content-Length: 1", body=b"x")
                assert client.answer().status == 202
        samples = _samples(server)
        assert _value(samples, "gati_uploads_open") == 2
        assert _value(samples, "gati_uploads_started_total") == 3
        client.request("DELETE", location)
        assert client.answer().status == 204
        assert _value(_samples(server), "gati_uploads_open") == 1


def test_paths_that_nobody_serves_make_no_series(tmp_path: Path) -> None:
    with started(RegistryProcess(tmp_path / "data", args=["--open"])) as server:
        for number in range(50):
            get(server.host, f"/nowhere/{number}")
        samples = _samples(server)
    assert _value(samples, "gati_http_requests_total", route="other", method="GET", status="404") == 50
    assert not any("nowhere" in str(labels) for _, labels in samples)


def test_workers_are_summed_and_a_dead_ones_numbers_stay(tmp_path: Path, http_server: str) -> None:
    with started(demo(tmp_path / "data", "--workers", "3", "--server", http_server)) as server:
        for _ in range(60):
            assert get(server.host, "/hello").status == 200
        key = {"route": "other", "method": "GET", "status": "200"}
        wait_for(lambda: _value(_samples(server), "gati_http_requests_total", **key) == 60)
        os.kill(server.pids()[1], signal.SIGKILL)
        wait_for(lambda: "a new one starts" in server.stderr() and len(server.pids()) == 4)
        wait_for(lambda: _value(_samples(server), "gati_workers") == 3)
        assert get(server.host, "/hello").status == 200
        wait_for(lambda: _value(_samples(server), "gati_http_requests_total", **key) == 61)


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError):
        Metrics().add("gati_typo_total")
    with pytest.raises(KeyError):
        Metrics().set("gati_typo", 1)


def test_a_slot_shows_the_last_whole_content() -> None:
    board = Board(2)
    assert board.read(0) == b""
    for content in (b"a" * 1000, b"b", b""):
        board.write(1, content)
        assert board.read(1) == content
        assert board.read(0) == b""
    with pytest.raises(ValueError, match="do not fit"):
        board.write(0, bytes(HALF))
