"""One big blob: downloads, small requests beside downloads, uploads."""

from __future__ import annotations

import functools

from bench.artifacts import BigBlob
from bench.load import beside_downloads, download, fetch, upload, wrk
from bench.model import MIB, Metric, Row, Scale, Target, Values
from bench.processes import measured
from bench.push import push_image
from bench.rows.manifests import ACCEPT, MANIFEST, NAME, TAG
from bench.stacks import Server

_GIB = 1024 * MIB
_REPOSITORY = "bench/blobs"
_BESIDE = 4  # downloads, and connections that GET beside them


def _bulk_metrics(*targets: Target) -> tuple[Metric, ...]:
    return (Metric("rate", "rate", "MiB/s", "more", targets), Metric("cpu", "server CPU", "s/GiB", "less"))


def _target(blob: BigBlob) -> str:
    return f"/v2/{_REPOSITORY}/blobs/{blob.digest}"


def _prepare_download(server: Server, scale: Scale) -> None:
    blob = BigBlob.of(scale.blob, seed=0)
    if server.stack.kind == "files":
        file = server.data / _target(blob).removeprefix("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as out:
            out.writelines(blob.parts())
    elif server.ask("HEAD", _target(blob))[0] != 200:
        upload(server.address, _REPOSITORY, [blob])


def _download(server: Server, scale: Scale, _round: int, *, streams: int) -> Values:
    blob = BigBlob.of(scale.blob, seed=0)
    fetch(server.address, _target(blob), blob.size)  # the file is in memory from here on
    with measured(server.pid) as usage:
        rate = download(server.address, _target(blob), blob.size, streams=streams, seconds=scale.seconds)
    return {"rate": rate / MIB, "cpu": usage.server / (rate * usage.seconds / _GIB)}


def download_row(streams: int) -> Row:
    """Download by this many streams."""
    return Row(
        f"download-{streams}",
        f"GET of one big blob, warm, again and again over {streams} connection{'s' * (streams > 1)}; the "
        "client copies the bytes out of the socket and drops them.",
        _bulk_metrics(Target(1.1), Target(1.0, "nginx")),
        functools.partial(_download, streams=streams),
        _prepare_download,
        files=True,
    )


def _prepare_beside(server: Server, scale: Scale) -> None:
    _prepare_download(server, scale)
    push_image(server.address, NAME, MANIFEST, TAG)


def _beside(server: Server, scale: Scale, _round: int) -> Values:
    blob = BigBlob.of(scale.blob, seed=0)
    fetch(server.address, _target(blob), blob.size)
    url = f"{server.url}/v2/{NAME}/manifests/{TAG}"
    rate, bytes_per_second = beside_downloads(
        server.address,
        _target(blob),
        blob.size,
        lambda: wrk(url, connections=_BESIDE, seconds=scale.seconds, headers=[ACCEPT]),
        streams=_BESIDE,
    )
    return {"p99": rate.p99, "p50": rate.p50, "rate": rate.per_second, "downloads": bytes_per_second / MIB}


BESIDE_DOWNLOADS = Row(
    "beside-downloads",
    f"GET of the small manifest by tag over {_BESIDE} connections, without a pause, while {_BESIDE} others "
    "download the big blob without end.",
    (
        Metric("p99", "small GET p99", "ms", "less", (Target(0.2),)),
        Metric("p50", "small GET p50", "ms", "less"),
        Metric("rate", "small GETs", "/s", "more"),
        Metric("downloads", "the downloads", "MiB/s", "more"),
    ),
    _beside,
    _prepare_beside,
)


def _upload(server: Server, scale: Scale, round_: int, *, streams: int) -> Values:
    size = scale.blob // streams
    blobs = [BigBlob.of(size, seed=1 + 100 * round_ + 10_000 * streams + each) for each in range(streams)]
    with measured(server.pid) as usage:
        seconds = upload(server.address, _REPOSITORY, blobs)
    total = size * streams
    return {"rate": total / seconds / MIB, "cpu": usage.server / (total / _GIB)}


def upload_row(streams: int, bound: float) -> Row:
    """Upload by this many streams, to reach `bound` times the best peer."""
    size = (
        "one blob of the whole size" if streams == 1 else f"{streams} blobs side by side, the size divided among them"
    )
    return Row(
        f"upload-{streams}",
        f"POST, then one PUT with Content-Length over HTTP/1.1: {size}; new bytes each time, from memory.",
        _bulk_metrics(Target(bound)),
        functools.partial(_upload, streams=streams),
    )
