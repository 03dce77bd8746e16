"""Every setting of the server, and how its value is found.

A value comes from the first of: flag, environment, TOML file, default. What is not known stops the start: a misspelt
setting that is silently ignored is a setting that the operator believes in.

    GATI_LISTEN=0.0.0.0:5000          listen = "0.0.0.0:5000"
    GATI_GC__GRACE=3600               [gc]
                                      grace = 3600

`docs/settings.md` is written from this module by `gati-registry settings --output markdown`.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

PREFIX = "GATI_"
# These belong to the `gati` command; a shell that has them set may start a server too.
CLIENT_VARIABLES = frozenset({"GATI_REGISTRY", "GATI_TOKEN", "GATI_NAMESPACE"})
CONFIG_VARIABLE = "GATI_CONFIG"
MIB = 1024 * 1024


class SettingsError(Exception):
    """A setting that stops the start; the message is one line: which setting, and what to do about it.

    Never holds a value: a URL or a line of a file may carry a password.
    """


def _comma_separated(value: object) -> object:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


Names = Annotated[tuple[str, ...], BeforeValidator(_comma_separated)]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Networks = Annotated[tuple[Network, ...], BeforeValidator(_comma_separated)]


def _setting(default: Any, description: str, *, unit: str = "", **limits: Any) -> Any:
    return Field(default, description=description, json_schema_extra={"unit": unit}, **limits)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)


class Tls(_Section):
    """HTTPS. Both files present: the listener speaks TLS only."""

    cert: Path | None = _setting(None, "Certificate chain, PEM. Needs `tls.key`.")
    key: Path | None = _setting(None, "Private key of the certificate, PEM, without a passphrase.")
    min_version: Literal["1.2", "1.3"] = _setting("1.2", "Oldest TLS version that is accepted.")


class Shutdown(_Section):
    """What happens between SIGTERM and the end of the process."""

    grace: float = _setting(300, "Longest time that running transfers get to finish.", unit="seconds", ge=0)
    delay: float = _setting(
        0,
        "Time after SIGTERM in which new requests are still taken while `/readyz` already answers 503, "
        "for load balancers that poll it.",
        unit="seconds",
        ge=0,
    )


class Gc(_Section):
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


class Manifests(_Section):
    """What is accepted as a manifest."""

    sparse: bool = _setting(
        False, "Accept manifests that refer to content which is not stored here (sparse indexes and images)."
    )
    max_bytes: int = _setting(4 * MIB, "Largest manifest that is accepted.", unit="bytes", ge=4 * MIB)
    max_tags: int = _setting(100, "Most `tag` parameters in one manifest PUT.", unit="tags", ge=1)


class Blobs(_Section):
    """How blobs are kept."""

    inline_bytes: int = _setting(
        65536, "Blobs up to this size are kept inside the database (embedded storage only).", unit="bytes", ge=0, le=MIB
    )
    max_bytes: int = _setting(0, "Largest blob that is accepted; 0: no limit.", unit="bytes", ge=0)


class Uploads(_Section):
    """Upload sessions."""

    expiry: float = _setting(604800, "An upload without progress for this long is discarded.", unit="seconds", gt=0)
    max_open: int = _setting(
        1000, "Most uploads in one repository that hold bytes and are not finished; 0: no limit.", unit="uploads", ge=0
    )


class Postgresql(_Section):
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
    migration_timeout: float = _setting(600, "Longest time for one migration of the schema.", unit="seconds", ge=1)
    lock_timeout: float = _setting(
        5, "Longest wait of a migration for a lock, while others queue behind it; it tries again.", unit="seconds", gt=0
    )


class S3(_Section):
    """Blobs in S3 (`blobs_url`, extra `s3`)."""

    redirect: bool = _setting(
        False,
        "Answer a blob's GET with a redirect to a signed URL of the S3 server, which clients must be able to reach. "
        "Needs `public_url`.",
    )
    encryption: Literal["none", "sse-s3", "sse-kms"] = _setting(
        "none", "Server-side encryption that new objects ask for; `none` leaves it to the bucket's own rule."
    )
    kms_key: str | None = _setting(None, "Name of the key for `sse-kms`.")
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


class Paging(_Section):
    """Lists: tags, catalog, referrers."""

    max_items: int = _setting(1000, "Most entries in one page, whatever the client asks for.", unit="entries", ge=1)


class Http(_Section):
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


class Proxy(_Section):
    """Reverse proxies in front."""

    trusted: Networks = _setting(
        (), "Networks whose `Forwarded` and `X-Forwarded-*` headers are believed, e.g. `10.0.0.0/8`."
    )


class Log(_Section):
    """JSON lines on standard error."""

    level: Literal["debug", "info", "warning", "error"] = _setting("info", "Least severe level that is written.")
    reads: bool = _setting(True, "Write a line for each GET and HEAD too, not only for changes and errors.")


class Telemetry(_Section):
    """OpenTelemetry traces (extra `telemetry`)."""

    otlp_endpoint: str | None = _setting(
        None, "OTLP/HTTP receiver, e.g. `http://127.0.0.1:4318`; absent: no traces are made."
    )
    success_ratio: float = _setting(
        0.01, "Share of successful requests whose trace is sent; failed ones (5xx) always are.", ge=0, le=1
    )


class Settings(_Section):
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
    blobs_url: str | None = _setting(
        None,
        "Blob store: `file:///DIR`, or `s3://BUCKET/PREFIX?endpoint=URL&region=NAME` (extra `s3`; credentials by "
        "`AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`). Absent: `blobs` in the data folder.",
    )
    search_url: str | None = _setting(None, "Search index: `opensearch+http://HOST:PORT`. Absent: embedded.")
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
        if value is not None:
            raise ValueError("no search driver is available in this version; leave it unset for the embedded one")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.open and not is_loopback(self.address[0]):
            raise ValueError("open: refused on an address that is not loopback; listen on 127.0.0.1 or leave it off")
        if (self.tls.cert is None) != (self.tls.key is None):
            missing, given = ("tls.key", "tls.cert") if self.tls.key is None else ("tls.cert", "tls.key")
            raise ValueError(f"{missing}: needed beside {given}; name both files or neither")
        if (self.s3.encryption == "sse-kms") != (self.s3.kms_key is not None):
            raise ValueError("s3.kms_key: goes with s3.encryption sse-kms; set both or neither")
        if self.s3.redirect:
            self._check_redirect()
        return self

    def _check_redirect(self) -> None:
        if self.bucket is None or self.public_url is None:
            raise ValueError("s3.redirect: needs blobs_url in S3, and public_url to compare its host with; set both")
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


@dataclass(frozen=True, slots=True)
class Setting:
    """What `gati-registry settings` tells about one setting."""

    name: str  # as in TOML: `gc.grace`
    variable: str  # `GATI_GC__GRACE`
    type: str
    unit: str
    default: str
    description: str


Models = Mapping[str, type[BaseModel]]
"""Sections of the settings and their models."""

Sections = Callable[[Sequence[str] | None], Models]
"""Finds the sections of the extensions with these names (None: of all)."""


def no_extensions(_: Sequence[str] | None) -> Models:
    """No extension has a section."""
    return {}


def catalogue(extensions: Models | None = None) -> Iterator[Setting]:
    """Every setting, in the order of the model: first the unsectioned ones, then section by section."""
    for name, field in _fields(extensions or {}).items():
        extra = field.json_schema_extra
        unit = str(extra.get("unit", "")) if isinstance(extra, dict) else ""
        default = "" if field.default is None else show(field.default)
        yield Setting(name, variable_of(name), _type_name(field), unit, default, field.description or "")


def sections(extensions: Models | None = None) -> Iterator[tuple[str, str]]:
    """Every section's name and the first paragraph of what it is about."""
    for name, model in (_sections() | dict(extensions or {})).items():
        yield name, (model.__doc__ or "").strip()


def show(value: object) -> str:
    """A value as the environment would spell it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def variable_of(name: str) -> str:
    """The environment variable of a setting: `gc.grace` → `GATI_GC__GRACE`."""
    return PREFIX + name.upper().replace(".", "__").replace("-", "_")


def _sections() -> dict[str, type[BaseModel]]:
    return {
        name: field.annotation
        for name, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, _Section)
    }


def _fields(extensions: Models) -> dict[str, FieldInfo]:
    sections = _sections()
    fields = {name: field for name, field in Settings.model_fields.items() if name not in sections}
    for section, model in (sections | dict(extensions)).items():
        fields |= {f"{section}.{name}": field for name, field in model.model_fields.items()}
    return fields


def _type_name(field: FieldInfo) -> str:
    annotation = field.annotation
    arguments = [argument for argument in get_args(annotation) if argument is not type(None)]
    if arguments and all(isinstance(argument, str) for argument in arguments):
        return " or ".join(f"`{argument}`" for argument in arguments)
    text = str(annotation)
    if "tuple" in text:
        return "list"
    names = {bool: "true or false", int: "integer", float: "number", Path: "path", str: "text"}
    return next((name for kind, name in names.items() if annotation is kind or kind in arguments), "text")


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings and, for each setting, where its value came from: `default`, `file`, `environment` or `flag`."""

    settings: Settings
    sources: Mapping[str, str]

    def value(self, name: str) -> object:
        """The value of a setting by its TOML name."""
        value: object = self.settings
        for part in name.split("."):
            owner = self.settings.extension(part) if value is self.settings else None
            value = owner or getattr(value, part)
        return value


def load(
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    config: Path | None = None,
    extensions: Sections = no_extensions,
) -> Loaded:
    """Read file, environment and flags, in rising precedence.

    Args:
        flags: values by TOML name; None counts as not given.
        environment: `os.environ` unless given.
        config: the TOML file; None: the one that `GATI_CONFIG` names, or none.
        extensions: finds the sections of the enabled extensions.

    Raises:
        SettingsError: an unknown name, a value that does not fit, or a file that cannot be read.
    """
    environment = os.environ if environment is None else environment
    if config is None and environment.get(CONFIG_VARIABLE):
        config = Path(environment[CONFIG_VARIABLE])
    document = _document(config) if config is not None else {}
    wanted = environment.get(f"{PREFIX}EXTENSIONS", document.get("extensions"))
    models = extensions(_names(wanted))
    known = _fields(models)
    values: dict[str, object] = {}
    sources = dict.fromkeys(known, "default")
    layers = [
        ("file", _from_file(config, document, known) if config is not None else {}),
        ("environment", _from_environment(environment, known)),
        ("flag", {name: value for name, value in (flags or {}).items() if value is not None}),
    ]
    for source, layer in layers:
        for name, value in layer.items():
            values[name] = value
            sources[name] = source
    nested: dict[str, Any] = {}
    for name, value in values.items():
        section, _, key = name.rpartition(".")
        (nested.setdefault(section, {}) if section else nested)[key] = value
    own = {name: nested.pop(name, {}) for name in models}
    try:
        settings = Settings.model_validate(nested)
    except ValidationError as error:
        raise SettingsError(_first_line(error, known)) from None
    parts = {}
    for name, model in models.items():
        try:
            parts[name] = model.model_validate(own[name])
        except ValidationError as error:
            raise SettingsError(_first_line(error, known, name)) from None
    settings._extensions = parts
    return Loaded(settings, sources)


def _names(value: object) -> Sequence[str] | None:
    """What `extensions` lists, before anything is checked."""
    found = _comma_separated(value)
    return [str(name) for name in found] if isinstance(found, list) else None


def _document(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"config: cannot read {path}: {error.strerror}; name a readable TOML file") from None
    except UnicodeDecodeError:
        raise SettingsError(f"config: {path} is not UTF-8; save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"config: {path} is not TOML: {error}; mend it there") from None


def _from_file(path: Path, document: Mapping[str, Any], known: Mapping[str, FieldInfo]) -> dict[str, object]:
    found: dict[str, object] = {}
    sections = {name.partition(".")[0] for name in known if "." in name}
    for name, value in document.items():
        if name in sections and isinstance(value, dict):
            found |= {f"{name}.{key}": item for key, item in value.items()}
        else:
            found[name] = value
    for name in found:
        if name not in known:
            raise SettingsError(f"{name}: unknown setting in {path}; {_remedy(name, known)}")
    return found


def _from_environment(environment: Mapping[str, str], known: Mapping[str, FieldInfo]) -> dict[str, object]:
    names = {variable_of(name): name for name in known}
    found: dict[str, object] = {}
    for variable, value in sorted(environment.items()):
        if not variable.startswith(PREFIX) or variable in CLIENT_VARIABLES or variable == CONFIG_VARIABLE:
            continue
        if variable not in names:
            raise SettingsError(f"{variable}: unknown setting in the environment; {_remedy(variable, names)}")
        found[names[variable]] = value
    return found


def _remedy(name: str, known: Mapping[str, object]) -> str:
    close = get_close_matches(name, known, n=1, cutoff=0.8)
    return f"did you mean {close[0]}?" if close else "remove it, or see `gati-registry settings` for the names"


def _first_line(error: ValidationError, known: Mapping[str, FieldInfo], section: str = "") -> str:
    # One at a time: the operator mends one line and starts again. `hide_input_in_errors` keeps values out, and
    # only `msg` is used here, never `input` or `ctx`.
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    parts = [*([section] if section else []), *(str(part) for part in first["loc"])]
    name = next((".".join(parts[:end]) for end in range(len(parts), 0, -1) if ".".join(parts[:end]) in known), "")
    message = first["msg"].removeprefix("Value error, ")
    if not name:
        # A check across settings names them itself; a section that is no table has only its own name.
        return message if not parts else f"{parts[0]}: {message}"
    return f"{name} ({variable_of(name)}): {message[:1].lower()}{message[1:]}; set another value or remove it"
