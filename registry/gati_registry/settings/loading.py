"""Where a setting's value comes from, and the list of them all."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import (
    BaseModel,
    ValidationError,
)
from pydantic.fields import FieldInfo

from gati_registry.settings.model import Section, Settings, SettingsError, comma_separated

PREFIX = "GATI_"
# These belong to the `gati` command; a shell that has them set may start a server too.
CLIENT_VARIABLES = frozenset({"GATI_REGISTRY", "GATI_TOKEN", "GATI_NAMESPACE"})
CONFIG_VARIABLE = "GATI_CONFIG"


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
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
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
    found = comma_separated(value)
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
