"""Many small artifacts pushed at once."""

from __future__ import annotations

from bench.load import percentile
from bench.model import Metric, Row, Scale, Target, Values
from bench.processes import measured
from bench.push import push_artifact, push_for
from bench.stacks import Server


def _measure(server: Server, scale: Scale, round_: int) -> Values:
    with measured(server.pid) as usage:
        journal = push_for(
            server.address,
            scale.clients,
            scale.pushing,
            lambda client, count: push_artifact(f"bench/client-{client}", f"r{round_}-{count}"),
        )
    pushes = len(journal.latencies)
    return {
        "rate": pushes / usage.seconds,
        "p50": percentile(journal.latencies, 50) * 1000,
        "p99": percentile(journal.latencies, 99) * 1000,
        "cpu": usage.server / pushes * 1000,
    }


SMALL_ARTIFACTS = Row(
    "artifacts",
    "Small artifacts pushed by 64 clients, each into a repository of its own: a config, a layer of 4 KiB and "
    "a manifest; POST and PUT for each blob, PUT of the manifest under a new tag, five requests in all.",
    (
        Metric(
            "rate",
            "artifacts",
            "/s",
            "more",
            (Target(8, servers=("hypercorn",)), Target(20, servers=("uvicorn",))),
        ),
        Metric("p50", "p50", "ms", "less"),
        Metric("p99", "p99", "ms", "less"),
        Metric("cpu", "server CPU", "ms/artifact", "less"),
    ),
    _measure,
)
