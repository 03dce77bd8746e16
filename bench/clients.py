"""`python -m bench.clients`: the SDK beside the oras and crane commands, against one registry of ours.

Each pushes and pulls one big blob and many small ones, as a process of its own, start included; in turns, on the same
machine, new bytes in each round. Once they are plain files, which crane does not push; once the layers of an image in
an OCI layout, which names their digests. Writes docs/benchmarks-clients.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.model import MIB
from bench.moving import LAYER
from bench.stacks import Gati, Server, cached

_REPORT = Path(__file__).parent.parent / "docs" / "benchmarks-clients.md"
_MOVING = Path(__file__).with_name("moving.py")
_CONFIG = "application/vnd.oci.image.config.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_NAME = "org.opencontainers.image.ref.name"


@dataclass(frozen=True, slots=True)
class Job:
    """Files to move: in a plain folder, and in an OCI layout for who wants that."""

    name: str
    files: Path
    layout: Path


@dataclass(slots=True)
class Taken:
    """Samples of one client in one row: seconds, and seconds of processor time."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def _make(folder: Path, name: str, count: int, size: int) -> Job:
    """Files of fresh random bytes, and a layout that has the same as layers."""
    job = Job(name, folder / "files", folder / "layout")
    blobs = job.layout / "blobs" / "sha256"
    for each in (job.files, blobs):
        each.mkdir(parents=True)

    def put(data: bytes, media_type: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    layers = []
    for number in range(count):
        data = b"".join(os.urandom(min(MIB, size - start)) for start in range(0, size, MIB))
        (job.files / f"{number}.bin").write_bytes(data)
        layers.append(put(data, LAYER))
    ids = [layer["digest"] for layer in layers]
    image = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ids}}
    config = put(json.dumps(image).encode(), _CONFIG)
    manifest = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": config, "layers": layers}
    entry = put(json.dumps(manifest).encode(), _MANIFEST) | {"annotations": {_NAME: "v1"}}
    index = {"schemaVersion": 2, "manifests": [entry]}
    (job.layout / "index.json").write_text(json.dumps(index))
    (job.layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return job


def _ours(what: str, host: str, repository: str, job: Job, out: Path) -> list[str] | None:
    places = {"push": job.files, "pull": out, "import": job.layout, "export": out}
    return [sys.executable, str(_MOVING), what, host, repository, str(places[what])]


def _oras(what: str, host: str, repository: str, job: Job, out: Path) -> list[str] | None:
    oras, name = str(cached("oras", "oras")), f"{host}/{repository}:v1"
    if what == "pull":
        return [oras, "pull", "--plain-http", "-o", str(out), name]
    if what == "push":
        names = sorted(f"{file.name}:{LAYER}" for file in job.files.iterdir())
        return [oras, "push", "--plain-http", "--artifact-type", "a/b", name, *names]
    if what == "import":
        return [oras, "copy", "--from-oci-layout", "--to-plain-http", f"{job.layout}:v1", name]
    return [oras, "copy", "--from-plain-http", "--to-oci-layout", name, f"{out}:v1"]


def _crane(what: str, host: str, repository: str, job: Job, out: Path) -> list[str] | None:
    crane, name = str(cached("crane", "crane")), f"{host}/{repository}:v1"
    if what == "import":
        return [crane, "push", "--insecure", str(job.layout), name]
    if what == "export":
        return [crane, "pull", "--insecure", "--format", "oci", name, str(out)]
    return None  # it appends archives to images, which it compresses before


_CLIENTS: dict[str, Callable[[str, str, str, Job, Path], list[str] | None]] = {
    "gati_client": _ours,
    "oras": _oras,
    "crane": _crane,
}
_PAIR = {"push": "files", "pull": "files", "import": "layout", "export": "layout"}
_WAYS = {
    "push": "push, {} of files",
    "pull": "pull, {} to files",
    "import": "push, {} of a layout",
    "export": "pull, {} to a layout",
}


def _timed(command: Sequence[str], folder: Path) -> tuple[float, float]:
    os.sync()  # what others left to be written is not this one's to pay
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _measure(options: argparse.Namespace, home: Path) -> dict[tuple[str, str], Taken]:
    taken: dict[tuple[str, str], Taken] = defaultdict(Taken)
    server = Server(Gati("hypercorn", 1), home / "server")
    server.start()
    host = server.url.removeprefix("http://")
    sizes = {"one big blob": (1, options.size * MIB), "small blobs": (options.files, 2048)}
    try:
        for round_ in range(options.rounds):
            names = list(_CLIENTS)
            for name in names[round_ % 3 :] + names[: round_ % 3]:
                for title, (count, size) in sizes.items():
                    place = home / f"{name}-{round_}-{count}"
                    job = _make(place / "of-files", title, count, size)
                    for what, row in _WAYS.items():
                        if what == "import":
                            job = _make(place / "of-layout", title, count, size)  # the registry has the others
                        out = place / what
                        out.mkdir()
                        repository = f"bench/{name.replace('_', '-')}-{len(title)}-{_PAIR[what]}-{round_}"
                        command = _CLIENTS[name](what, host, repository, job, out)
                        if command is None:
                            continue
                        seconds, cpu = _timed(command, job.files)
                        sample = taken[row.format(title), name]
                        sample.seconds.append(seconds)
                        sample.cpu.append(cpu)
                        figures = f"{seconds:.2f} s, {cpu:.2f} s CPU"
                        print(f"{row.format(title)}, {name}: {figures}", file=sys.stderr, flush=True)
                    if count == 1:  # many files stay to the end: ext4 is slow to make some just after it deleted some
                        shutil.rmtree(place)
    finally:
        server.stop()
    return taken


def _report(options: argparse.Namespace, taken: dict[tuple[str, str], Taken]) -> str:
    load = os.getloadavg()
    lines = [
        "# The SDK beside other clients",
        "",
        "`python -m bench.clients` pushes and pulls with each client as a process of its own, its start included,",
        f"against one registry of ours on the same machine ({os.cpu_count()} cores). One big blob has",
        f"{options.size} MiB, the small ones are {options.files} of 2 KiB; medians of {options.rounds} round(s), new",
        "bytes in each. Files are hashed by who pushes them, a layout names its digests; crane pushes no plain files.",
        f"The load of the machine at the end was {load[1]:.1f} (over 5 minutes).",
        "",
        "| row | " + " | ".join(f"{name} s (CPU)" for name in _CLIENTS) + " |",
        "|---|" + "---|" * len(_CLIENTS),
    ]
    for row in dict.fromkeys(row for row, _ in taken):
        cells = []
        for name in _CLIENTS:
            sample = taken.get((row, name))
            if sample is None:
                cells.append("-")
            else:
                cells.append(f"{statistics.median(sample.seconds):.2f} ({statistics.median(sample.cpu):.2f})")
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Run it; 2 where a client is not here."""
    parser = argparse.ArgumentParser(prog="python -m bench.clients", description=__doc__)
    parser.add_argument("--size", type=int, default=4096, metavar="MIB", help="of the big one (default 4096)")
    parser.add_argument("--files", type=int, default=2000, metavar="N", help="how many small ones (default 2000)")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--output", type=Path, default=_REPORT)
    options = parser.parse_args(arguments)
    for name in ("oras", "crane"):
        if cached(name, name) is None:
            print(f"{name} is not here (make real-clients)", file=sys.stderr)
            return 2
    # Installed programs are compiled once, and not each time that they start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run([sys.executable, "-m", "bench.clients", "--help"], check=True, stdout=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory(prefix="gati-bench-") as home:
        taken = _measure(options, Path(home))
    options.output.write_text(_report(options, taken))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
