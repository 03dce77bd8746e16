"""OpenTelemetry: spans reach a receiver; failures all, successes by ratio."""

from __future__ import annotations

import gzip
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.serving.processes import ROOT, demo, started
from tests.serving.raw import get
from tests.support.server import RegistryProcess

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra `telemetry` is not installed")
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status


class Receiver:
    """An OTLP/HTTP receiver that keeps the spans."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    for scope in resource.scope_spans:
                        receiver.spans += scope.spans
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever)
    thread.start()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()
    thread.join()


def _run(server: RegistryProcess, successes: int, failures: int) -> None:
    parent = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    with started(server):
        for _ in range(successes):
            assert get(server.host, "/hello", "X-Request-ID: r1").status == 200
        for _ in range(failures):
            assert get(server.host, "/error", parent).status == 500
        assert server.terminate() == 0


def test_failures_are_all_kept_and_successes_by_ratio(tmp_path: Path, receiver: Receiver) -> None:
    environment = {"GATI_TELEMETRY__OTLP_ENDPOINT": receiver.url, "GATI_TELEMETRY__SUCCESS_RATIO": "0"}
    _run(demo(tmp_path / "data", env=environment), successes=20, failures=5)
    assert [span.name for span in receiver.spans] == ["GET other"] * 5
    for span in receiver.spans:
        assert span.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c", "below the caller's span"
        assert span.parent_span_id.hex() == "b7ad6b7169203331"
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert span.kind == Span.SPAN_KIND_SERVER
        assert span.end_time_unix_nano > span.start_time_unix_nano


def test_every_success_is_kept_if_asked_for(tmp_path: Path, receiver: Receiver) -> None:
    environment = {"GATI_TELEMETRY__OTLP_ENDPOINT": receiver.url, "GATI_TELEMETRY__SUCCESS_RATIO": "1"}
    _run(demo(tmp_path / "data", env=environment), successes=3, failures=0)
    assert len(receiver.spans) == 3
    attributes = {item.key: item.value for item in receiver.spans[0].attributes}
    assert attributes["http.response.status_code"].int_value == 200
    assert attributes["http.request.method"].string_value == "GET"
    assert attributes["url.path"].string_value == "/hello"
    assert attributes["gati.request_id"].string_value == "r1"


def test_without_a_receiver_nothing_of_it_is_imported() -> None:
    program = (
        "import sys; from gati_registry.app import create_app; from gati_registry.settings import Settings;"
        "create_app(Settings()); sys.exit('opentelemetry' in sys.modules or 'prometheus_client' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def test_a_receiver_without_the_extra_stops_the_start(tmp_path: Path) -> None:
    # A Python that sees this project and its needs, but not opentelemetry.
    blocker = tmp_path / "sitecustomize.py"
    blocker.write_text(
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'opentelemetry':\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
    )
    environment = {"PYTHONPATH": str(tmp_path), "GATI_TELEMETRY__OTLP_ENDPOINT": "http://127.0.0.1:1"}
    result = subprocess.run(
        [sys.executable, "-m", "gati_registry", "serve", "--data", str(tmp_path / "data")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 2
    assert result.stderr.startswith("gati-registry: telemetry.otlp_endpoint: traces need the extra `telemetry`")
    assert result.stderr.count("\n") == 1
