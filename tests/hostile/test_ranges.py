"""Malformed and impossible `Range` and `Content-Range` headers."""

from __future__ import annotations

import pytest

from tests.hostile.content import LARGE, SEED, SMALL, digest_of, start_upload
from tests.hostile.spec import assert_error
from tests.hostile.trace import no_trace
from tests.hostile.wire import Client, ask, connect
from tests.support.server import RegistryProcess

IGNORED = [
    "", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=0", "bytes=--1", "bytes=0--1", "bytes=1-2-3", "bytes=0x0-0xf",
    "bytes=+1-2", "bytes=1.0-2.0", "bytes=0-1;2-3", "bytes=,", "bytes=0-1,", "bytes=0-1,a", "bytes 0-1", "octets=0-1",
    "items=0-1", "=0-1", "bytes==0-1", "bytes=0-1=2", "0-1", "bytes=\u00b2-\u00b3", "bytes=1e1-2e1", "bytes=-1-",
    "bytes=- 1", "bytes=0 -1", "bytes=" + "9" * 40 + "-", "bytes=0-" + "9" * 5000, "bytes=" + ",".join(["0-"] * 9000),
    "bytes=" + ",".join(["0-0"] * 9000), "bytes=" + "," * 9000, "bytes=0-,0-", "bytes=0-100,50-,-200,0-",
]  # fmt: skip
"""Malformed, of another unit, or wasteful: the whole is the answer (RFC 9110 section 14.2)."""

OUTSIDE = ["{size}-", "{size}-{size}", "500-0", "1-0", "-0", "{beyond}-", "{size}-,{beyond}-", "9223372036854775807-"]
"""Nothing of the content is within: 416."""


@pytest.mark.parametrize("blob", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_ranges_that_are_none(registry: RegistryProcess, blob: bytes, method: str) -> None:
    target = f"/v2/{SEED.repository}/blobs/{digest_of(blob)}"
    with no_trace(registry), Client(registry) as client:
        for value in IGNORED:
            answer = client.ask(method, target, {"Range": value})
            assert (answer.status, answer.header("content-length")) == (200, str(len(blob))), value
            assert method == "HEAD" or answer.body == blob, value


@pytest.mark.parametrize("blob", [SMALL, LARGE], ids=["small", "large"])
def test_ranges_outside(registry: RegistryProcess, blob: bytes) -> None:
    target = f"/v2/{SEED.repository}/blobs/{digest_of(blob)}"
    with no_trace(registry), Client(registry) as client:
        for value in OUTSIDE:
            value = value.format(size=len(blob), beyond=len(blob) + 1)
            answer = client.ask("GET", target, {"Range": f"bytes={value}"})
            assert_error(answer, 416, "SIZE_INVALID")
            assert answer.header("content-range") == f"bytes */{len(blob)}"


def test_ranges_are_cut_at_the_end(registry: RegistryProcess) -> None:
    target = f"/v2/{SEED.repository}/blobs/{digest_of(SMALL)}"
    last = len(SMALL) - 1
    with Client(registry) as client:
        for value, first in (
            (f"{last}-999999", last),
            ("-999999", 0),
            ("0-9223372036854775807", 0),
            (f" {last} - ", None),
        ):
            answer = client.ask("GET", target, {"Range": f"bytes={value}"})
            if first is None:
                assert (answer.status, answer.body) == (200, SMALL)
            else:
                assert (answer.status, answer.body) == (206, SMALL[first:]), value
                assert answer.header("content-range") == f"bytes {first}-{last}/{len(SMALL)}"


def test_ranges_never_send_more_than_the_whole(registry: RegistryProcess) -> None:
    """Sixty-four overlapping parts of a large blob would be nineteen megabytes."""
    target = f"/v2/{SEED.repository}/blobs/{digest_of(LARGE)}"
    for count in (2, 64, 65, 5000):
        answer = ask(registry, "GET", target, {"Range": "bytes=" + ",".join(f"{n}-" for n in range(count))})
        assert (answer.status, answer.body) == (200, LARGE)
    # Parts that are small but many cost their frames; even so the answer stays within twice the content.
    answer = ask(registry, "GET", target, {"Range": "bytes=" + ",".join(f"{n * 10}-{n * 10}" for n in range(64))})
    assert answer.status == 206
    assert len(answer.body) < 2 * len(LARGE)


@pytest.mark.parametrize(
    "header", ["If-Range", "If-None-Match", "If-Match", "If-Modified-Since", "If-Unmodified-Since"]
)
def test_conditions_that_are_none(registry: RegistryProcess, header: str) -> None:
    with no_trace(registry), Client(registry) as client:
        for target, body in (
            (f"/v2/{SEED.repository}/blobs/{digest_of(SMALL)}", SMALL),
            (f"/v2/{SEED.repository}/manifests/{SEED.tag}", SEED.manifest),
        ):
            for value in (
                '"',
                '""',
                "W/",
                'W/"',
                ",,,,",
                "x" * 8000,
                '"a",' * 8000,
                "\u00e9",
                "Thu, 99 Foo 0000 99:99:99 GMT",
            ):
                answer = client.ask("GET", target, {header: value})
                assert (answer.status, answer.body) == (200, body), value


BAD_CONTENT_RANGES = [
    "", "abc", "0", "-", "-1", "0-", "-4", "4-0", "0--1", "0-4-", "0-4,5-9", "1e0-4e0", "0x0-0x4", "+0-4", "0.0-4.0",
    "bytes */5", "bytes 0-4/x", "bytes 0-4/", "octets 0-4/5", "bytes=", "0 - 4", "\u00b2-\u00b3",
    "9" * 30 + "-" + "9" * 30, "0-" + "9" * 5000, "0-4\t5", "0-4;x", "null", "NaN-NaN",
]  # fmt: skip


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_malformed_content_range(registry: RegistryProcess, method: str) -> None:
    """416, and the upload stands where it stood."""
    with no_trace(registry), Client(registry) as client:
        session = start_upload(registry, SEED.repository)
        assert client.ask("PATCH", session, body=SMALL).status == 202
        target = f"{session}?digest={digest_of(SMALL + SMALL)}" if method == "PUT" else session
        for value in BAD_CONTENT_RANGES:
            assert_error(client.ask(method, target, {"Content-Range": value}, SMALL), 416, "BLOB_UPLOAD_INVALID")
        state = client.ask("GET", session)
        assert (state.status, state.header("range")) == (204, f"0-{len(SMALL) - 1}")
        assert client.ask("DELETE", session).status == 204


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize("chunk", [SMALL, LARGE], ids=["small", "large"])
def test_content_range_out_of_order(registry: RegistryProcess, method: str, chunk: bytes) -> None:
    with no_trace(registry), Client(registry) as client:
        session = start_upload(registry, SEED.repository)
        assert client.ask("PATCH", session, body=chunk).status == 202
        target = f"{session}?digest={digest_of(chunk + chunk)}" if method == "PUT" else session
        size = len(chunk)
        for first in (0, 1, size - 1, size + 1, 2 * size, 2**62):
            answer = client.ask(method, target, {"Content-Range": f"{first}-{first + size - 1}"}, chunk)
            assert_error(answer, 416, "BLOB_UPLOAD_INVALID")
            assert answer.header("range") == f"0-{size - 1}"
        assert client.ask("DELETE", session).status == 204


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize("chunk", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_content_range_of_another_length(registry: RegistryProcess, method: str, chunk: bytes, coding: str) -> None:
    """Content-Range and what is sent disagree: 400, and the upload stands where it stood."""
    with no_trace(registry), Client(registry) as client:
        session = start_upload(registry, SEED.repository)
        assert client.ask("PATCH", session, body=chunk).status == 202
        size = len(chunk)
        target = f"{session}?digest={digest_of(chunk + chunk)}" if method == "PUT" else session
        for last in (size, 2 * size - 2, 2 * size, 2**62):
            fields = {"Content-Range": f"{size}-{last}"}
            body = chunk
            if coding == "chunked":
                fields["Transfer-Encoding"] = "chunked"
                body = b"%x\r\n%s\r\n0\r\n\r\n" % (size, chunk)
            with connect(registry) as wire:
                assert_error(wire.request(method, target, fields, body), 400, "SIZE_INVALID")
        state = client.ask("GET", session)
        assert (state.status, state.header("range")) == (204, f"0-{size - 1}")
        assert client.ask("DELETE", session).status == 204
