"""Start serving: bind, fork if asked to, announce, wait."""

from __future__ import annotations

import logging
import sys

from gati_registry.serving.application import ApplicationFactory
from gati_registry.serving.listener import listen
from gati_registry.serving.process import ignore_hangup, raise_descriptor_limit, tune_allocator
from gati_registry.serving.supervisor import Supervisor
from gati_registry.serving.tls import tls_context
from gati_registry.serving.worker import run_worker
from gati_registry.settings import Settings

logger = logging.getLogger(__name__)


def serve(settings: Settings, create_app: ApplicationFactory) -> int:
    """Serve until SIGTERM and return the exit code: 0 when all that ran was finished, 1 otherwise.

    One line on standard output, ending in the URL, says that every worker answers.

    Raises:
        AddressError: the address is not to be had.
        SettingsError: TLS files that do not work.
        Exception: with one worker, whatever kept the application from starting.
    """
    tls_context(settings)  # a bad certificate stops the start here, before anything is bound
    tune_allocator()
    raise_descriptor_limit()
    ignore_hangup()
    host, port = settings.address
    listener = listen(host, port, stall_timeout=settings.http.idle_timeout)
    url = _url(settings, host, listener.getsockname()[1])

    def announce() -> None:
        print(f"gati-registry is ready on {url}", flush=True)  # noqa: T201 - the one line that others wait for

    if settings.workers > 1:
        return Supervisor(settings, create_app, listener, announce).run()
    run_worker(settings, create_app, listener, announce)
    sys.stdout.flush()
    return 0


def _url(settings: Settings, host: str, port: int) -> str:
    scheme = "https" if settings.tls.cert else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
