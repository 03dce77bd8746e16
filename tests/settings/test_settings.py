"""Where values come from, which are refused, and what a refusal says."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import ValidationError

from gati_registry.settings import Settings, SettingsError, catalogue, is_loopback, load


def _refusal(environment: dict[str, str] | None = None, **flags: object) -> str:
    with pytest.raises(SettingsError) as caught:
        load(flags, environment or {})
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_defaults_are_those_of_the_model() -> None:
    found = load(environment={})
    assert found.settings == Settings()
    assert set(found.sources.values()) == {"default"}
    assert found.settings.shutdown.grace == 300
    assert found.settings.gc.grace == 86400


def test_every_default_fits_its_own_limits() -> None:
    for setting in catalogue():
        if setting.default:
            load(environment={setting.variable: setting.default})


def test_flags_win_over_environment_over_file_over_default(tmp_path: Path) -> None:
    file = tmp_path / "gati.toml"
    file.write_text('listen = "127.0.0.1:1"\nworkers = 2\n[gc]\ngrace = 5\ninterval = 7\n')
    environment = {"GATI_CONFIG": str(file), "GATI_LISTEN": "127.0.0.1:2", "GATI_GC__GRACE": "6"}
    found = load({"listen": "127.0.0.1:3", "workers": None}, environment)
    settings = found.settings
    assert (settings.listen, settings.workers) == ("127.0.0.1:3", 2)
    assert (settings.gc.grace, settings.gc.interval) == (6, 7)
    assert found.sources["listen"] == "flag"
    assert found.sources["gc.grace"] == "environment"
    assert found.sources["gc.interval"] == found.sources["workers"] == "file"
    assert found.sources["data"] == "default"
    assert found.value("gc.interval") == 7


def test_a_file_named_by_flag_wins_over_the_environment(tmp_path: Path) -> None:
    named, other = tmp_path / "a.toml", tmp_path / "b.toml"
    named.write_text("workers = 3")
    other.write_text("workers = 4")
    assert load({}, {"GATI_CONFIG": str(other)}, named).settings.workers == 3


def test_a_standby_goes_with_a_database_that_has_one() -> None:
    standby = {"GATI_METADATA_READ_URL": "postgresql://u:secret@h/d"}
    message = _refusal(standby)
    assert "metadata_read_url: goes with a metadata_url in PostgreSQL" in message
    wrong = _refusal({"GATI_METADATA_READ_URL": "sqlite:///secret", "GATI_METADATA_URL": "postgresql://h/d"})
    assert wrong.startswith("metadata_read_url")
    assert "secret" not in message + wrong
    assert load(environment=standby | {"GATI_METADATA_URL": "postgresql://h/d"}).settings.metadata_read_url is not None


def test_the_clients_variables_are_ignored() -> None:
    environment = {"GATI_REGISTRY": "x", "GATI_TOKEN": "y", "GATI_NAMESPACE": "z", "PATH": "/bin"}
    assert load(environment=environment).settings == Settings()


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("GATI_GC__GRACEE", "GATI_GC__GRACEE: unknown setting in the environment; did you mean GATI_GC__GRACE?"),
        ("GATI_NONSENSE", "GATI_NONSENSE: unknown setting in the environment; remove it"),
        ("GATI_GC", "GATI_GC: unknown setting in the environment"),
        ("GATI_gc__grace", "GATI_gc__grace: unknown setting in the environment"),
    ],
)
def test_unknown_variables_are_refused(variable: str, message: str) -> None:
    assert _refusal({variable: "1"}).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grace = 1", "grace: unknown setting in"),
        ("[gc]\ngrase = 1", "gc.grase: unknown setting in"),
        ("[nonsense]\nx = 1", "nonsense: unknown setting in"),
        ("gc = 1", "gc: unknown setting in"),
        ("workers = ", "config:"),
        ('[gc]\ngrace = "soon"', "gc.grace (GATI_GC__GRACE): "),
        ("[proxy]\ntrusted = [1.5]", "proxy.trusted (GATI_PROXY__TRUSTED): "),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "gati.toml"
    file.write_text(text)
    assert _refusal({"GATI_CONFIG": str(file)}).startswith(message)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    assert _refusal({"GATI_CONFIG": str(tmp_path / "absent")}).startswith("config: cannot read ")
    (tmp_path / "latin").write_bytes(b'data = "\xe9"')
    assert "is not UTF-8" in _refusal({"GATI_CONFIG": str(tmp_path / "latin")})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("GATI_LISTEN", "5000"),
        ("GATI_LISTEN", "127.0.0.1:"),
        ("GATI_LISTEN", "127.0.0.1:65536"),
        ("GATI_LISTEN", ":5000"),
        ("GATI_LISTEN", "::1:5000"),
        ("GATI_WORKERS", "0"),
        ("GATI_WORKERS", "two"),
        ("GATI_SERVER", "apache"),
        ("GATI_OPEN", "perhaps"),
        ("GATI_GC__GRACE", "-1"),
        ("GATI_GC__GRACE", "inf"),
        ("GATI_GC__GRACE", "nan"),
        ("GATI_MANIFESTS__MAX_BYTES", "4194303"),
        ("GATI_PROXY__TRUSTED", "10.0.0.0/8,here"),
        ("GATI_PUBLIC_URL", "ftp://x"),
        ("GATI_PUBLIC_URL", "https://u:p@x"),
        ("GATI_METADATA_URL", "mysql://u:p@h/d"),
        ("GATI_METADATA_URL", "sqlite://host/x"),
        ("GATI_METADATA_URL", "sqlite:///"),
        ("GATI_BLOBS_URL", "s3://bucket/prefix"),
        ("GATI_SEARCH_URL", "opensearch+http://u:p@h"),
        ("GATI_TLS__MIN_VERSION", "1.1"),
        ("GATI_LOG__LEVEL", "loud"),
        ("GATI_TELEMETRY__SUCCESS_RATIO", "1.5"),
    ],
)
def test_a_value_that_does_not_fit_names_its_setting_and_shows_nothing_of_it(variable: str, value: str) -> None:
    message = _refusal({variable: value})
    name = variable.removeprefix("GATI_").lower().replace("__", ".")
    assert message.startswith(f"{name} ({variable}): ")
    assert "u:p" not in message


def test_a_driver_of_a_later_version_is_named() -> None:
    message = _refusal({"GATI_METADATA_URL": "mysql://user:secret@host/db"})
    assert "driver mysql is not available in this version; use sqlite:///FILE or postgresql://" in message
    assert "secret" not in message


@pytest.mark.parametrize("listen", ["127.0.0.1:5000", "127.8.8.8:1", "[::1]:5000", "localhost:5000"])
def test_open_is_allowed_on_loopback(listen: str) -> None:
    assert load({"open": True, "listen": listen}, {}).settings.open


@pytest.mark.parametrize("listen", ["0.0.0.0:5000", "[::]:5000", "10.0.0.1:5000", "registry.example:5000"])
def test_open_is_refused_elsewhere(listen: str) -> None:
    assert _refusal(open=True, listen=listen).startswith("open: refused on an address that is not loopback")
    assert not is_loopback(listen.rpartition(":")[0].strip("[]"))


def test_certificate_and_key_come_together() -> None:
    assert _refusal({"GATI_TLS__CERT": "x"}).startswith("tls.key: needed beside tls.cert")
    assert _refusal({"GATI_TLS__KEY": "x"}).startswith("tls.cert: needed beside tls.key")


def test_lists_are_comma_separated_in_the_environment(tmp_path: Path) -> None:
    settings = load(environment={"GATI_EXTENSIONS": "a, b,", "GATI_PROXY__TRUSTED": "10.0.0.0/8,::1"}).settings
    assert settings.extensions == ("a", "b")
    assert settings.proxy.trusted == (ip_network("10.0.0.0/8"), ip_network("::1/128"))
    assert load(environment={"GATI_EXTENSIONS": ""}).settings.extensions == ()
    file = tmp_path / "gati.toml"
    file.write_text('extensions = ["a"]\n[proxy]\ntrusted = ["10.0.0.0/8"]\n')
    assert load(environment={}, config=file).settings.extensions == ("a",)


@pytest.mark.parametrize(
    ("listen", "address"), [("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:5000", ("::1", 5000)), ("host:1", ("host", 1))]
)
def test_the_address_has_no_brackets(listen: str, address: tuple[str, int]) -> None:
    assert load({"listen": listen}, {}).settings.address == address


def test_storage_lies_in_the_data_folder_unless_said_otherwise() -> None:
    settings = load({"data": "there"}, {}).settings
    assert (settings.metadata_path, settings.blobs_path) == (Path("there/metadata.sqlite"), Path("there/blobs"))
    environment = {"GATI_METADATA_URL": "sqlite:///var/a%20b.sqlite", "GATI_BLOBS_URL": "file:///var/blobs"}
    settings = load(environment=environment).settings
    assert (settings.metadata_path, settings.blobs_path) == (Path("/var/a b.sqlite"), Path("/var/blobs"))
    assert load(environment={"GATI_METADATA_URL": "sqlite:////var/x"}).settings.metadata_path == Path("/var/x")


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Settings().workers = 2
