"""OpenTelemetry spans of requests, when a receiver is configured.

Whether a span is kept is decided at the request's end: failed ones always, successful ones by ratio. So a request that
is not kept costs one random number, and the SDK is not even imported without a receiver.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from gati_registry.settings import SettingsError, Telemetry


class Tracer:
    """Sends a span for each request worth keeping; from a thread, in batches."""

    def __init__(self, settings: Telemetry) -> None:
        """Raises `SettingsError` where the extra is not installed."""
        require(settings)
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        assert settings.otlp_endpoint is not None
        self._ratio = settings.success_ratio
        release = version("gati-registry")
        resource = Resource.create({"service.name": "gati-registry", "service.version": release})
        # Not the default sampler: it would drop a failed request whose caller does not keep its own trace.
        self._provider = TracerProvider(sampler=ALWAYS_ON, resource=resource)
        exporter = OTLPSpanExporter(endpoint=settings.otlp_endpoint.rstrip("/") + "/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("gati_registry", release)
        self._context = TraceContextTextMapPropagator()

    def keep(self, status: int) -> bool:
        """The decision about a request that has ended."""
        return status >= 500 or random.random() < self._ratio  # noqa: S311 - sampling, not security

    def span(
        self,
        name: str,
        headers: Iterable[tuple[bytes, bytes]],
        attributes: dict[str, Any],
        start: float,
        seconds: float,
        *,
        failed: bool,
    ) -> None:
        """Send a span, below the caller's where a `traceparent` header names one.

        Args:
            start: seconds since the epoch.
        """
        from opentelemetry.trace import SpanKind, StatusCode

        carrier = {
            key.decode("latin-1"): value.decode("latin-1")
            for key, value in headers
            if key in {b"traceparent", b"tracestate"}
        }
        begin = int(start * 1e9)
        span = self._tracer.start_span(
            name, self._context.extract(carrier), SpanKind.SERVER, attributes=attributes, start_time=begin
        )
        if failed:
            span.set_status(StatusCode.ERROR)
        span.end(begin + int(seconds * 1e9))

    def close(self) -> None:
        """Send what is left. Blocks for some seconds where the receiver does not answer."""
        self._provider.shutdown()


def require(settings: Telemetry) -> None:
    """Check that traces can be made if they are asked for.

    Raises:
        SettingsError: the extra `telemetry` is not installed, or the endpoint is no http(s) URL.
    """
    if settings.otlp_endpoint is None:
        return
    if not settings.otlp_endpoint.startswith(("http://", "https://")):
        raise SettingsError("telemetry.otlp_endpoint: expected http(s)://HOST:PORT of an OTLP/HTTP receiver")
    from importlib.util import find_spec

    for module in ("opentelemetry", "opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"):
        try:
            found = find_spec(module)
        except ModuleNotFoundError:
            found = None
        if found is None:
            raise SettingsError(
                "telemetry.otlp_endpoint: traces need the extra `telemetry`; "
                "install it with: pip install 'gati-registry[telemetry]'"
            )
