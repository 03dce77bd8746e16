"""Every setting of the server: its type, default, limits and meaning."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)

MIB = 1024 * 1024


class SettingsError(Exception):
    """A setting that stops the start; the message is one line: which setting, and what to do about it.

    Never holds a value: a URL or a line of a file may carry a password.
    """


def comma_separated(value: object) -> object:
    """The items of a list as the environment writes it; anything else as it is."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


Names = Annotated[tuple[str, ...], BeforeValidator(comma_separated)]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Networks = Annotated[tuple[Network, ...], BeforeValidator(comma_separated)]


def _setting(default: Any, description: str, *, unit: str = "", **limits: Any) -> Any:
    return Field(default, description=description, json_schema_extra={"unit": unit}, **limits)


class Section(BaseModel):
    """Base of the sections."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False, defer_build=True
    )


class Tls(Section):
    """HTTPS, and TLS to other servers. Both files present: the listener speaks TLS only."""

    cert: Path | None = _setting(None, "Certificate chain, PEM. Needs `tls.key`.")
    key: Path | None = _setting(None, "Private key of the certificate, PEM, without a passphrase.")
    client_ca: Path | None = _setting(
        None, "Authorities that clients' certificates are checked with, PEM; absent: clients are asked for none."
    )
    client_auth: Literal["optional", "required"] = _setting(
        "optional", "Whether a client needs a certificate to connect at all. Needs `tls.client_ca`."
    )
    client_crl: Path | None = _setting(
        None, "Revocation lists of these authorities, PEM, one of each; read at the start. Needs `tls.client_ca`."
    )
    min_version: Literal["1.2", "1.3"] = _setting(
        "1.3", "Oldest TLS version that is spoken, with clients as with S3 and PostgreSQL servers."
    )
    ca: Path | None = _setting(
        None,
        "Certificates of authorities, PEM, that S3 and PostgreSQL servers are checked against. Absent: the file that "
        "`AWS_CA_BUNDLE` or `SSL_CERT_FILE` names, else the public ones for S3; libpq's own rules for PostgreSQL.",
    )


class Shutdown(Section):
    """What happens between SIGTERM and the end of the process."""

    grace: float = _setting(300, "Longest time that running transfers get to finish.", unit="seconds", ge=0)
    delay: float = _setting(
        0,
        "Time after SIGTERM in which new requests are still taken while `/readyz` already answers 503, "
        "for load balancers that poll it.",
        unit="seconds",
        ge=0,
    )


class Gc(Section):
    """Garbage collection: it runs while serving and never blocks."""

    grace: float = _setting(
        86400, "Unreferenced content younger than this, or used within it, is kept.", unit="seconds", ge=0
    )
    undo: float = _setting(
        86400,
        "Garbage is soft-deleted first; for this long it still answers, any use or `gc --undo` revives it.",
        unit="seconds",
        ge=0,
    )
    readers: float = _setting(
        300, "Time between the end of a blob in the database and that of its bytes.", unit="seconds", ge=0
    )
    interval: float = _setting(
        3600, "Time between two runs; 0: only `gati-registry gc` collects.", unit="seconds", ge=0
    )


class Manifests(Section):
    """What is accepted as a manifest."""

    sparse: bool = _setting(
        False, "Accept manifests that refer to content which is not stored here (sparse indexes and images)."
    )
    max_bytes: int = _setting(4 * MIB, "Largest manifest that is accepted.", unit="bytes", ge=4 * MIB)
    max_tags: int = _setting(100, "Most `tag` parameters in one manifest PUT.", unit="tags", ge=1)


class Blobs(Section):
    """How blobs are kept."""

    inline_bytes: int = _setting(
        65536, "Blobs up to this size are kept inside the database (embedded storage only).", unit="bytes", ge=0, le=MIB
    )
    max_bytes: int = _setting(0, "Largest blob that is accepted; 0: no limit.", unit="bytes", ge=0)


class Uploads(Section):
    """Upload sessions."""

    expiry: float = _setting(604800, "An upload without progress for this long is discarded.", unit="seconds", gt=0)
    max_open: int = _setting(
        1000, "Most uploads in one repository that hold bytes and are not finished; 0: no limit.", unit="uploads", ge=0
    )


class Postgresql(Section):
    """Connections to PostgreSQL, where `metadata_url` names one."""

    pool_min: int = _setting(1, "Connections that each worker keeps open.", unit="connections", ge=0, le=1000)
    pool_max: int = _setting(10, "Most connections of each worker.", unit="connections", ge=1, le=1000)
    pool_wait: float = _setting(
        5, "Longest wait for a free connection; then the request gets 503.", unit="seconds", gt=0
    )
    connect_timeout: float = _setting(5, "Longest time in which the server takes a connection.", unit="seconds", ge=2)
    unit_timeout: float = _setting(
        15,
        "Longest time for one transaction or look-up; a server that is silent longer is cut off.",
        unit="seconds",
        ge=1,
    )
    scan_timeout: float = _setting(
        120, "Longest time for reading many rows at once, as lists and the collector do.", unit="seconds", ge=1
    )
    max_lag: float = _setting(
        10, "A standby that is further behind is not read from (`metadata_read_url`).", unit="seconds", gt=0
    )
    migration_timeout: float = _setting(600, "Longest time for one migration of the schema.", unit="seconds", ge=1)
    lock_timeout: float = _setting(
        5, "Longest wait of a migration for a lock, while others queue behind it; it tries again.", unit="seconds", gt=0
    )


class S3(Section):
    """Blobs in S3 (`blobs_url`, extra `s3`)."""

    redirect: bool = _setting(
        False,
        "Answer a blob's GET with a redirect to a signed URL of the S3 server, which clients must be able to reach. "
        "Needs `public_url`.",
    )
    encryption: Literal["none", "sse-s3", "sse-kms", "sse-c"] = _setting(
        "none", "Server-side encryption that new objects ask for; `none` leaves it to the bucket's own rule."
    )
    kms_key: str | None = _setting(None, "Name of the key for `sse-kms`.")
    kms_keys: Names = _setting(
        (),
        "Keys of namespaces, as `PREFIX=KEY`, e.g. `orgs/acme=key1,users=key2`; the longest prefix counts. A blob that "
        "several namespaces link is stored once, with the key of the first.",
    )
    customer_key_file: Path | None = _setting(
        None,
        "File with 64 hexadecimal digits for `sse-c`: each object's key is derived from them and sent along, by https "
        "only. For a prefix that is empty at first, and never to be changed.",
    )
    part_bytes: int = _setting(
        8 * MIB,
        "Size of an upload's first 900 parts, it doubles with every 900 more; an upload holds up to three in memory.",
        unit="bytes",
        ge=5 * MIB,
        le=512 * MIB,
    )
    connections: int = _setting(
        32, "Most requests at once that a worker sends to the S3 server.", unit="connections", ge=4, le=512
    )
    timeout: float = _setting(
        15, "Longest wait for the S3 server's answer, beside the time of a transfer.", unit="seconds", ge=1
    )


class Encryption(Section):
    """Encryption by the registry itself, of blobs in files and in S3 and of small ones in the database."""

    master: Literal["none", "file", "vault", "kms"] = _setting(
        "none", "Where the master key is that wraps the namespaces' keys; `none`: nothing is encrypted."
    )
    new: bool = _setting(True, "Encrypt what is pushed from now on; false: only read what was encrypted before.")
    file: Path | None = _setting(
        None, "Keys of the master `file`, readable by their owner alone; `gati-registry keys rotate` makes it."
    )
    vault_url: str | None = _setting(
        None, "Vault or OpenBao with the transit engine, e.g. `https://vault.example:8200`; checked against `tls.ca`."
    )
    vault_mount: str = _setting("transit", "Where the transit engine is mounted.")
    vault_key: str = _setting("gati-registry", "Its key; of a type with associated data, such as `aes256-gcm96`.")
    vault_token_file: Path | None = _setting(None, "File that holds the token; read anew for each request.")
    kms_key: str | None = _setting(
        None, "Key of AWS KMS: id, ARN or `alias/NAME`. Credentials by `AWS_ACCESS_KEY_ID` and so on."
    )
    kms_region: str = _setting("us-east-1", "Region of that key.", pattern="^[a-z0-9-]+$")
    kms_endpoint: str | None = _setting(None, "Another server that speaks as KMS does. Absent: Amazon's of the region.")

    @field_validator("vault_url", "kms_endpoint")
    @classmethod
    def _server(cls, value: str | None) -> str | None:
        parts = urlsplit(value or "")
        if value is None:
            return None
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.username:
            raise ValueError("expected https://HOST[:PORT]")
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise ValueError("http would show the key to everybody between; use https")
        return value.rstrip("/")

    @field_validator("vault_mount", "vault_key")
    @classmethod
    def _segment(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*", value):
            raise ValueError("expected letters, digits, '.', '_' and '-'")
        return value

    @model_validator(mode="after")
    def _complete(self) -> Encryption:
        for name in _MASTERS.get(self.master, ()):
            if getattr(self, name) is None:
                raise ValueError(f"{name}: needed with master {self.master}")
        return self


_MASTERS = {"file": ("file",), "vault": ("vault_url", "vault_token_file"), "kms": ("kms_key",)}


class Paging(Section):
    """Lists: tags, catalog, referrers."""

    max_items: int = _setting(1000, "Most entries in one page, whatever the client asks for.", unit="entries", ge=1)


class Http(Section):
    """The HTTP listener."""

    http2: bool = _setting(True, "Offer HTTP/2 beside HTTP/1.1 (over TLS, chosen by ALPN; Hypercorn only).")
    max_header_bytes: int = _setting(
        65536, "Largest request head, names and values of all headers together.", unit="bytes", ge=8192, le=MIB
    )
    keep_alive: float = _setting(
        75, "An idle connection, or one whose request head does not arrive, is closed after this.", unit="seconds", gt=0
    )
    idle_timeout: float = _setting(
        120, "A transfer in which no byte moves for this long is ended.", unit="seconds", gt=0
    )
    max_concurrent: int = _setting(
        10000, "Most requests at once in one worker, further ones get 503; 0: no limit.", unit="requests", ge=0
    )


class Proxy(Section):
    """Reverse proxies in front."""

    trusted: Networks = _setting(
        (), "Networks whose `Forwarded` and `X-Forwarded-*` headers are believed, e.g. `10.0.0.0/8`."
    )
    client_cert: bool = _setting(
        False,
        "Believe `Client-Cert` (RFC 9440) of these, too: the client's certificate, which the proxy has checked. The "
        "proxy must remove the header where a client sends it.",
    )


class Log(Section):
    """JSON lines on standard error."""

    level: Literal["debug", "info", "warning", "error"] = _setting("info", "Least severe level that is written.")
    reads: bool = _setting(True, "Write a line for each GET and HEAD too, not only for changes and errors.")


class Telemetry(Section):
    """OpenTelemetry traces (extra `telemetry`)."""

    otlp_endpoint: str | None = _setting(
        None, "OTLP/HTTP receiver, e.g. `http://127.0.0.1:4318`; absent: no traces are made."
    )
    success_ratio: float = _setting(
        0.01, "Share of successful requests whose trace is sent; failed ones (5xx) always are.", ge=0, le=1
    )


class Settings(Section):
    """The whole configuration, checked. Immutable: a change needs a restart."""

    listen: str = _setting(
        "127.0.0.1:5000", "Address and port to listen on; `[::1]:5000` for IPv6, port 0: any free one."
    )
    data: Path = _setting(Path("data"), "Folder of everything that embedded storage keeps; made if it is not there.")
    public_url: str | None = _setting(
        None, "URL under which clients reach the registry; absent: taken from each request."
    )
    metadata_url: str | None = _setting(
        None,
        "Database: `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST:PORT/DATABASE` (extra `postgresql`), with "
        "libpq's parameters, e.g. `?sslmode=verify-full`. Absent: `metadata.sqlite` in the data folder.",
    )
    metadata_read_url: str | None = _setting(
        None,
        "A standby of the database in PostgreSQL, for reads that may lag: the catalog, gauges, exports of the audit "
        "log. Where it is away or too far behind, `metadata_url` serves them too.",
    )
    blobs_url: str | None = _setting(
        None,
        "Blob store: `file:///DIR`, or `s3://BUCKET/PREFIX?endpoint=URL&region=NAME` (extra `s3`; credentials by "
        "`AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`). Absent: `blobs` in the data folder.",
    )
    search_url: str | None = _setting(
        None, "Search index: `opensearch+http(s)://HOST:PORT` (extra `opensearch`). Absent: embedded."
    )
    extensions: Names | None = _setting(None, "Extensions to enable, separated by commas. Absent: all that come along.")
    admin_password_file: Path | None = _setting(
        None, "File whose first line is the password of `admin` at the first start. Absent: made up, printed once."
    )
    open: bool = _setting(False, "Anonymous callers may do everything. Refused unless the address is loopback.")
    server: Literal["hypercorn", "uvicorn"] = _setting(
        "hypercorn", "HTTP server: `uvicorn` (extra `fast`) has no HTTP/2 and takes less memory."
    )
    workers: int = _setting(1, "Worker processes; one per core is a good measure.", unit="processes", ge=1, le=256)
    tls: Tls = Tls()
    shutdown: Shutdown = Shutdown()
    gc: Gc = Gc()
    manifests: Manifests = Manifests()
    blobs: Blobs = Blobs()
    uploads: Uploads = Uploads()
    postgresql: Postgresql = Postgresql()
    s3: S3 = S3()
    encryption: Encryption = Encryption()
    paging: Paging = Paging()
    http: Http = Http()
    proxy: Proxy = Proxy()
    log: Log = Log()
    telemetry: Telemetry = Telemetry()
    _extensions: Mapping[str, BaseModel] = PrivateAttr(default_factory=dict)

    def extension(self, name: str) -> BaseModel | None:
        """The section of an enabled extension; None if it has none."""
        return self._extensions.get(name)

    @property
    def address(self) -> tuple[str, int]:
        """Host (without brackets) and port of `listen`."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def shared_metadata(self) -> bool:
        """Whether the database is PostgreSQL, and not a file of our own."""
        return self.metadata_url is not None and urlsplit(self.metadata_url).scheme != "sqlite"

    @property
    def metadata_path(self) -> Path:
        """The SQLite file."""
        return _path_of(self.metadata_url) if self.metadata_url else self.data / "metadata.sqlite"

    @property
    def blobs_path(self) -> Path:
        """The folder of the file blob store."""
        return _path_of(self.blobs_url) if self.blobs_url else self.data / "blobs"

    @property
    def bucket(self) -> S3Bucket | None:
        """Where blobs are in S3; None where they are files."""
        is_s3 = self.blobs_url is not None and urlsplit(self.blobs_url).scheme == "s3"
        return _s3_bucket(self.blobs_url) if self.blobs_url is not None and is_s3 else None

    @field_validator("listen")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        host, separator, port = value.rpartition(":")
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        if not separator or not bare or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ValueError("expected HOST:PORT, e.g. 127.0.0.1:5000")
        if ":" in host and bare == host:
            raise ValueError("write an IPv6 address in brackets, e.g. [::1]:5000")
        return value

    @field_validator("public_url")
    @classmethod
    def _http_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if (
            parts.scheme not in {"http", "https"}
            or not parts.hostname
            or parts.username
            or parts.query
            or parts.fragment
        ):
            raise ValueError("expected http(s)://HOST[:PORT][/PATH]")
        return value.rstrip("/")

    @field_validator("metadata_url")
    @classmethod
    def _metadata_driver(cls, value: str | None) -> str | None:
        if value is not None and urlsplit(value).scheme in {"postgresql", "postgres"}:
            return value  # libpq has its own rules for the rest
        return _local_url(value, "sqlite", "sqlite:///FILE or postgresql://…")

    @field_validator("metadata_read_url")
    @classmethod
    def _standby(cls, value: str | None) -> str | None:
        if value is not None and urlsplit(value).scheme not in {"postgresql", "postgres"}:
            raise ValueError("expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
        return value

    @field_validator("blobs_url")
    @classmethod
    def _blobs_driver(cls, value: str | None) -> str | None:
        if value is not None and urlsplit(value).scheme == "s3":
            _s3_bucket(value)
            return value
        return _local_url(value, "file", "file:///DIR or s3://BUCKET/PREFIX?endpoint=URL")

    @field_validator("search_url")
    @classmethod
    def _search_driver(cls, value: str | None) -> str | None:
        if value is None:
            return None
        found = urlsplit(value)
        if found.scheme not in {"opensearch+http", "opensearch+https"} or not found.hostname or found.query:
            raise ValueError("expected opensearch+http://HOST:PORT or opensearch+https://HOST:PORT/PREFIX")
        if found.username is not None or found.password is not None:
            raise ValueError("a URL is shown in many places: put no password into it")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.open and not is_loopback(self.address[0]):
            raise ValueError("open: refused on an address that is not loopback; listen on 127.0.0.1 or leave it off")
        if (self.tls.cert is None) != (self.tls.key is None):
            missing, given = ("tls.key", "tls.cert") if self.tls.key is None else ("tls.cert", "tls.key")
            raise ValueError(f"{missing}: needed beside {given}; name both files or neither")
        if self.tls.client_ca is not None and self.tls.cert is None:
            raise ValueError("tls.client_ca: needs tls.cert and tls.key; clients show certificates over TLS alone")
        if self.tls.client_ca is None and (self.tls.client_crl is not None or self.tls.client_auth == "required"):
            raise ValueError("tls.client_ca: needed beside tls.client_auth and tls.client_crl; name the authorities")
        if (self.s3.encryption == "sse-kms") != (self.s3.kms_key is not None):
            raise ValueError("s3.kms_key: goes with s3.encryption sse-kms; set both or neither")
        if any(not re.fullmatch(r"[a-z0-9._/-]+=\S+", item) for item in self.s3.kms_keys):
            raise ValueError("s3.kms_keys: expected PREFIX=KEY, e.g. orgs/acme=key1")
        if self.s3.kms_keys and self.s3.encryption == "sse-c":
            raise ValueError("s3.kms_keys: do not go with s3.encryption sse-c; leave one of both off")
        if (self.s3.encryption == "sse-c") != (self.s3.customer_key_file is not None):
            raise ValueError("s3.customer_key_file: goes with s3.encryption sse-c; set both or neither")
        if self.s3.encryption == "sse-c" and self.bucket is not None and not self.bucket.endpoint.startswith("https:"):
            raise ValueError("s3.encryption: sse-c sends keys along; name an https endpoint in blobs_url")
        if self.metadata_read_url is not None and not self.shared_metadata:
            raise ValueError("metadata_read_url: goes with a metadata_url in PostgreSQL; set both or leave it off")
        if self.s3.redirect:
            self._check_redirect()
        return self

    def _check_redirect(self) -> None:
        if self.bucket is None or self.public_url is None:
            raise ValueError("s3.redirect: needs blobs_url in S3, and public_url to compare its host with; set both")
        if self.s3.encryption == "sse-c":
            raise ValueError(
                "s3.redirect: clients have no key for what s3.encryption sse-c keeps; leave one of both off"
            )
        if self.encryption.master != "none":
            raise ValueError("s3.redirect: clients cannot read what the registry encrypts; leave one of both off")
        ours, theirs = urlsplit(self.public_url).hostname, urlsplit(self.bucket.endpoint).hostname
        # Go's clients send our credentials along to the same host, whatever the port, and to those below it.
        if f".{theirs}".endswith(f".{ours}"):
            raise ValueError(
                "s3.redirect: refused, for the S3 endpoint's host is that of public_url or below it, and clients "
                "would send it the registry's credentials; give it another name or leave it off"
            )


@dataclass(frozen=True, slots=True)
class S3Bucket:
    """A bucket and the prefix of our keys in it, empty or ending with a slash; `endpoint` is a URL without a path."""

    name: str
    prefix: str
    endpoint: str
    region: str


def _s3_bucket(url: str) -> S3Bucket:
    parts = urlsplit(url)
    form = "expected s3://BUCKET/PREFIX?endpoint=http(s)://HOST[:PORT]&region=NAME"
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", parts.netloc) or parts.fragment:
        raise ValueError(f"{form}; credentials come by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    prefix = unquote(parts.path).strip("/")
    if not re.fullmatch(r"([\w-][\w.-]*(/[\w-][\w.-]*)*)?", prefix, re.ASCII) or len(prefix) > 500:
        raise ValueError(f"{form}, the prefix of letters, digits, '.', '_', '-' and '/'")
    try:
        query = {key: value for key, (value,) in parse_qs(parts.query, strict_parsing=True).items()}
    except ValueError:
        raise ValueError(f"{form}, each parameter once") from None
    if unknown := query.keys() - {"endpoint", "region"}:
        raise ValueError(f"{form}; there is no parameter {min(unknown)[:40]}")
    endpoint = urlsplit(query.get("endpoint", ""))
    port = endpoint.netloc.rpartition(":")[2] if endpoint.netloc.count(":") == 1 else "0"
    if (
        endpoint.scheme not in {"http", "https"}
        or not re.fullmatch(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?", endpoint.netloc)
        or int(port) > 65535
        or endpoint.path.strip("/")
        or endpoint.query
        or endpoint.fragment
    ):
        raise ValueError(form)
    region = query.get("region", "us-east-1")
    if not re.fullmatch(r"[A-Za-z0-9-]+", region):
        raise ValueError(form)
    return S3Bucket(parts.netloc, f"{prefix}/" if prefix else "", f"{endpoint.scheme}://{endpoint.netloc}", region)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener on `host`. Names other than `localhost` count as reachable."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _local_url(value: str | None, driver: str, form: str) -> str | None:
    if value is None:
        return None
    parts = urlsplit(value)
    if parts.scheme != driver:
        scheme = parts.scheme or "(none)"
        raise ValueError(f"driver {scheme} is not available in this version; use {form}")
    if parts.netloc or parts.query or parts.fragment or not parts.path.strip("/"):
        raise ValueError(f"expected {form} with an absolute path")
    return value


def _path_of(url: str) -> Path:
    # `sqlite:////var/x` (four slashes, another convention for absolute paths) means the same file here.
    return Path("/" + unquote(urlsplit(url).path).lstrip("/"))
