"""Metrics: counted in plain Python, summed over the workers when somebody asks.

A request adds to a list of numbers; nothing of a metrics library runs on its way. About once a second, and when this
worker is scraped, the numbers go to the shared board; `/metrics` adds up all workers' slots and lets prometheus_client
write the exposition format.

Every metric is named in `COUNTERS`, `GAUGES` or the request tables below; a name that is not there is an error.
"""

from __future__ import annotations

import json
import os
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gati_registry.http.observe.board import Board, membership

if TYPE_CHECKING:
    from prometheus_client.core import Metric

# Seconds. From a cached manifest to a big blob; Prometheus adds +Inf.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

COUNTERS: Mapping[str, str] = {
    "gati_uploads_started_total": "Upload sessions opened.",
    "gati_uploads_finished_total": "Upload sessions that became a blob.",
    "gati_uploads_cancelled_total": "Upload sessions cancelled by the client.",
    "gati_uploads_expired_total": "Upload sessions discarded because nothing came for too long.",
    "gati_gc_runs_total": "Garbage collections that ran to their end.",
    "gati_gc_failures_total": "Garbage collections that failed.",
    "gati_gc_deleted_total": "Blobs that garbage collection removed.",
    "gati_gc_freed_bytes_total": "Bytes that garbage collection freed.",
    "gati_outbox_delivered_total": "Events that a reaction was told of.",
    "gati_outbox_retried_total": "Deliveries that failed and are tried again.",
    "gati_outbox_dead_total": "Events given up after a day of failures; kept as dead letters for a week.",
    "gati_observer_dropped_total": "Events that observers were not told of because too many waited.",
    "gati_observer_failures_total": "Batches that an observer failed on.",
    "gati_request_refused_total": "Requests refused because too many ran at once.",
    "gati_request_stalled_total": "Requests ended because no byte moved for too long.",
    "gati_request_failed_total": "Requests that ended in an unexpected error.",
    "gati_log_dropped_total": "Access log lines dropped because standard error was not read.",
}
GAUGES: Mapping[str, str] = {
    "gati_requests_in_progress": "Requests being answered.",
    "gati_process_resident_bytes": "Memory in use.",
    "gati_process_cpu_seconds": "CPU time used since the start.",
    "gati_process_open_descriptors": "Open file descriptors.",
    "gati_process_start_time_seconds": "When the worker started, seconds since the epoch.",
}
# Set at the scrape from one place, e.g. the database, not summed over workers.
SCRAPE_GAUGES: Mapping[str, str] = {
    "gati_uploads_open": "Upload sessions that are open.",
    "gati_workers": "Worker processes.",
}

# route, method, status → requests, bytes in, bytes out; route, method → seconds and a count per bucket.
_Traffic = dict[tuple[str, str, int], list[int]]
_Latency = dict[tuple[str, str], list[float]]


class Metrics:
    """What one worker counts."""

    def __init__(self) -> None:
        self._board, self._index = membership()
        self._traffic: _Traffic = {}
        self._latency: _Latency = {}
        # Where a request of a route, method and status is counted: one look-up for both.
        self._rows: dict[tuple[str, str, int], tuple[list[int], list[float]]] = {}
        self._counters: dict[str, float] = {}
        self._gauges: dict[str, float] = {"gati_process_start_time_seconds": time.time()}
        self._resume(self._board.read(self._index))

    def add(self, name: str, amount: float = 1) -> None:
        """Count up.

        Raises:
            KeyError: not a name of `COUNTERS`.
        """
        if name not in COUNTERS:
            raise KeyError(name)
        self._counters[name] = self._counters.get(name, 0) + amount

    def set(self, name: str, value: float) -> None:
        """Set this worker's part of a gauge.

        Raises:
            KeyError: not a name of `GAUGES`.
        """
        if name not in GAUGES:
            raise KeyError(name)
        self._gauges[name] = value

    def request(self, route: str, method: str, status: int, seconds: float, bytes_in: int, bytes_out: int) -> None:
        """Count one answered request."""
        rows = self._rows.get((route, method, status))
        if rows is None:
            rows = self._rows[route, method, status] = (
                self._traffic.setdefault((route, method, status), [0, 0, 0]),
                self._latency.setdefault((route, method), [0.0] * (len(BUCKETS) + 2)),
            )
        traffic, latency = rows
        traffic[0] += 1
        traffic[1] += bytes_in
        traffic[2] += bytes_out
        latency[0] += seconds
        latency[1 + bisect_left(BUCKETS, seconds)] += 1

    def flush(self) -> None:
        """Show this worker's numbers to the others."""
        self._gauges |= _process_gauges()
        content = {
            "pid": os.getpid(),
            "traffic": [[*key, *value] for key, value in self._traffic.items()],
            "latency": [[*key, value] for key, value in self._latency.items()],
            "counters": self._counters,
            "gauges": self._gauges,
        }
        self._board.write(self._index, json.dumps(content, separators=(",", ":")).encode())

    def exposition(self, gauges: Mapping[str, float]) -> tuple[bytes, str]:
        """All workers' numbers in Prometheus' text format, and its content type.

        Args:
            gauges: values of `SCRAPE_GAUGES`, as of now.
        """
        # Imported at the first scrape: a server that is never scraped does without.
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
        from prometheus_client.registry import Collector

        self.flush()
        families = list(_families(_slots(self._board), {**gauges, "gati_workers": float(self._board.count)}))

        class Once(Collector):
            def collect(self) -> Iterable[Metric]:
                return families

        registry = CollectorRegistry(auto_describe=False)
        registry.register(Once())
        return generate_latest(registry), CONTENT_TYPE_LATEST

    def _resume(self, content: bytes) -> None:
        # The slot of a worker that died: go on from its counts, so that the sums never fall.
        if not content:
            return
        slot = json.loads(content)
        self._traffic = {(row[0], row[1], row[2]): row[3:] for row in slot["traffic"]}
        self._latency = {(row[0], row[1]): row[2] for row in slot["latency"]}
        self._counters = slot["counters"]


def _slots(board: Board) -> list[dict[str, Any]]:
    return [json.loads(content) for index in range(board.count) if (content := board.read(index))]


def _families(slots: list[dict[str, Any]], gauges: Mapping[str, float]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    for name, text in COUNTERS.items():
        yield CounterMetricFamily(name, text, sum(slot["counters"].get(name, 0) for slot in slots))
    yield from _request_families(slots)
    for name, text in GAUGES.items():
        family = GaugeMetricFamily(name, text, labels=["worker"])
        for index, slot in enumerate(slots):
            if name in slot["gauges"]:
                family.add_metric([str(index)], slot["gauges"][name])
        yield family
    for name, value in gauges.items():
        yield GaugeMetricFamily(name, SCRAPE_GAUGES[name], value)


def _request_families(slots: list[dict[str, Any]]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

    traffic: _Traffic = {}
    latency: _Latency = {}
    for slot in slots:
        for route, method, status, *numbers in slot["traffic"]:
            _add(traffic.setdefault((route, method, status), [0, 0, 0]), numbers)
        for route, method, row in slot["latency"]:
            _add(latency.setdefault((route, method), [0.0] * len(row)), row)
    labels = ["route", "method", "status"]
    families = (
        CounterMetricFamily("gati_http_requests_total", "Requests answered.", labels=labels),
        CounterMetricFamily("gati_http_received_bytes_total", "Request bodies, bytes.", labels=labels),
        CounterMetricFamily("gati_http_sent_bytes_total", "Answer bodies, bytes.", labels=labels),
    )
    for (route, method, status), numbers in sorted(traffic.items()):
        for family, number in zip(families, numbers, strict=True):
            family.add_metric([route, method, str(status)], number)
    yield from families
    seconds = HistogramMetricFamily(
        "gati_http_request_seconds", "Time from a request's head to its answer's last byte.", labels=labels[:2]
    )
    for (route, method), row in sorted(latency.items()):
        buckets: list[tuple[str, float]] = []
        total = 0.0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), row[1:], strict=True):
            total += count
            buckets.append((bound, total))
        seconds.add_metric([route, method], buckets, row[0])
    yield seconds


def _add(total: list[Any], numbers: Iterable[Any]) -> None:
    for index, number in enumerate(numbers):
        total[index] += number


def _process_gauges() -> dict[str, float]:
    times = os.times()
    gauges: dict[str, float] = {"gati_process_cpu_seconds": times.user + times.system}
    try:
        with open("/proc/self/statm", "rb") as statm:
            gauges["gati_process_resident_bytes"] = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        gauges["gati_process_open_descriptors"] = len(os.listdir("/proc/self/fd")) - 1  # less the listing's own
    except OSError:
        pass  # not Linux: these two are left out
    return gauges
