"""`python -m bench.replicas`: the registry with other servers, as one process tree that starts and ends together.

PostgreSQL, MinIO and OpenSearch where asked for, the replicas, and nginx before them where there are several. What it
costs is what all of them cost.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.backends import CREDENTIALS, blobs_url, database_url, minio, opensearch, postgresql, search_url


def _end(_signum: int, _frame: object) -> None:
    raise SystemExit(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.replicas", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--settings", type=Path, metavar="FILE", help="PostgreSQL's")
    parser.add_argument("--postgresql", type=int, metavar="PORT", help="absent: SQLite, for one replica")
    parser.add_argument("--opensearch", type=int, metavar="PORT", help="absent: the search index is in the database")
    parser.add_argument("--minio", type=int, metavar="PORT", help="absent: blobs are files")
    parser.add_argument("--replica", type=int, action="append", required=True, metavar="PORT")
    parser.add_argument("--nginx", metavar="COMMAND", help="the load balancer, if there is one")
    parser.add_argument("serve", nargs="*", help="further arguments of `serve`")
    return parser


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _one_ended(parts: Sequence[subprocess.Popen[bytes]]) -> bool:
    for part in parts:
        if part.poll() is not None:
            print(f"{part.args!r} ended with {part.returncode}", file=sys.stderr, flush=True)
            return True
    return False


def main() -> int:
    """Run until SIGTERM; 1 where a part of it ends before."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, _end)
    with contextlib.ExitStack() as stack:
        environment = {**os.environ, **CREDENTIALS}
        if options.postgresql is not None:
            settings = options.settings.read_text()
            stack.enter_context(postgresql(options.data / "postgresql", options.postgresql, settings))
            environment["GATI_METADATA_URL"] = database_url(options.postgresql)
        if options.opensearch is not None:
            stack.enter_context(opensearch(options.data / "opensearch", options.opensearch))
            environment["GATI_SEARCH_URL"] = search_url(options.opensearch)
        if options.minio is not None:
            stack.enter_context(minio(options.data / "minio", options.minio))
            environment["GATI_BLOBS_URL"] = blobs_url(options.minio)
        parts = []
        for port in options.replica:
            command = [sys.executable, "-m", "gati_registry", "serve", "--listen", f"127.0.0.1:{port}"]
            own = "registry" if options.postgresql is None else f"replica-{port}"  # with SQLite it holds what is stored
            command += ["--data", str(options.data / own), *options.serve]
            parts.append(subprocess.Popen(command, env=environment))
            stack.enter_context(_ended(parts[-1]))
        while options.nginx is not None and not all(map(_answers, options.replica)):
            if _one_ended(parts):
                return 1
            time.sleep(0.05)  # nginx would keep away for a while from one that is not there yet
        if options.nginx is not None:
            parts.append(subprocess.Popen(options.nginx.split()))
            stack.enter_context(_ended(parts[-1]))
        while not _one_ended(parts):
            time.sleep(0.2)
    return 1


if __name__ == "__main__":
    sys.exit(main())
