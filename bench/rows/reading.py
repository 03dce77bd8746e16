"""Rates of one GET over and over: what the reading rows share."""

from __future__ import annotations

from collections.abc import Iterable

from bench.load import Rate, wrk
from bench.model import Metric, Scale, Target, Values
from bench.processes import measured
from bench.stacks import Server, Unsupported

_WARM_SECONDS = 1


def rate_metrics(rate: tuple[Target, ...] = (), cpu: tuple[Target, ...] = ()) -> tuple[Metric, ...]:
    """The figures that `values` gives."""
    return (
        Metric("rate", "rate", "/s", "more", rate),
        Metric("p99", "p99", "ms", "less"),
        Metric("cpu", "server CPU", "µs/request", "less", cpu),
    )


def values(rate: Rate, server_seconds: float) -> Values:
    """A rate and what it cost the server."""
    return {"rate": rate.per_second, "p99": rate.p99, "cpu": server_seconds / rate.requests * 1e6}


def get_rate(server: Server, target: str, scale: Scale, headers: Iterable[str] = ()) -> Values:
    """GET `target` at full speed, after a short unmeasured run.

    Raises:
        Unsupported: the server does not answer it with 200.
    """
    url = server.url + target
    lines = list(headers)
    status, _ = server.ask("GET", target, dict(line.split(": ", 1) for line in lines))
    if status != 200:
        raise Unsupported(f"answers {status}")
    wrk(url, connections=scale.connections, seconds=_WARM_SECONDS, headers=lines)
    with measured(server.pid) as usage:
        rate = wrk(url, connections=scale.connections, seconds=scale.seconds, headers=lines)
    return values(rate, usage.server)
