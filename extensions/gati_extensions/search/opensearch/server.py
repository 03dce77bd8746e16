"""Which OpenSearch it is, and what its client raises in our words."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gati_registry.errors import Unavailable

if TYPE_CHECKING:
    from opensearchpy import AsyncOpenSearch

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Server:
    """Where it is and who we are there. The password is never shown. `timeout` is in seconds."""

    host: str
    port: int
    tls: bool = False
    path: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    ca_file: Path | None = None
    timeout: float = 5.0

    @classmethod
    def parse(
        cls, url: str, *, user: str = "", password: str = "", ca_file: Path | None = None, timeout: float = 5.0
    ) -> Server:
        """Of `opensearch+http(s)://HOST[:PORT][/PATH]`, checked by the registry's settings."""
        parts = urlsplit(url)
        tls = parts.scheme == "opensearch+https"
        path = parts.path.rstrip("/")
        return cls(parts.hostname or "", parts.port or 9200, tls, path, user, password, ca_file, timeout)

    def require(self) -> None:
        """Raises ValueError where the extra is not installed, or the certificates are not there."""
        if importlib.util.find_spec("opensearchpy") is None or importlib.util.find_spec("aiohttp") is None:
            raise ValueError("search_url needs the extra `opensearch`: pip install gati-registry[opensearch]")
        if self.ca_file is not None and not self.ca_file.is_file():
            raise ValueError("opensearch_ca_file is not there")

    def client(self) -> AsyncOpenSearch:
        """A client of it; to be closed."""
        from opensearchpy import AsyncOpenSearch

        # It would write a traceback for every request that fails; `answering` says it in a line.
        logging.getLogger("opensearch").setLevel(logging.CRITICAL)
        return AsyncOpenSearch(
            hosts=[{"host": self.host, "port": self.port, "url_prefix": self.path}],
            http_auth=(self.user, self.password) if self.user else None,
            use_ssl=self.tls,
            ca_certs=str(self.ca_file) if self.ca_file else None,
            # Thousands of candidates are read sooner than they are packed and unpacked.
            http_compress=False,
            headers={"accept-encoding": "identity"},
            timeout=self.timeout,
            max_retries=1,
            retry_on_timeout=False,
            maxsize=20,
        )


@contextlib.contextmanager
def answering() -> Iterator[None]:
    """What OpenSearch does not do is that search is away for the moment.

    Raises:
        Unavailable: it is not there, does not let us in, has no index yet, or refuses.
    """
    from opensearchpy.exceptions import OpenSearchException, TransportError

    try:
        yield
    except OpenSearchException as error:
        # The words of an error may hold what was sent, but no credentials: those go in a header.
        status = error.status_code if isinstance(error, TransportError) else "?"
        log.warning("search: OpenSearch does not serve (%s): %s", status, type(error).__name__)
        log.debug("search: OpenSearch said: %s", error)
        raise Unavailable("the search index does not answer; retry later") from None
