"""What a kind of artifact is: one declarative record. Ours stand in `catalogue`, a file each; a third party's come by
the entry-point group `gati.kinds`, each entry naming a `Kind`.

    manifest ──recognise──▶ Kind ──model──▶ checked config ──describe──▶ Facts
                                  ──inspect──▶ what the files' own headers say
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from pydantic import BaseModel

from gati_extensions.kinds.files import Files

GROUP = "gati.kinds"
"""The entry-point group of third parties' kinds."""


def artifact_type(name: str) -> str:
    """The artifactType of a kind of ours."""
    return f"application/vnd.gati.{name}.v1"


def config_type(name: str) -> str:
    """The media type of its config."""
    return f"application/vnd.gati.{name}.config.v1+json"


def yaml_config_type(name: str) -> str:
    """The media type of its config where that is YAML, as authors of `spec.yaml` write it."""
    return f"application/vnd.gati.{name}.config.v1+yaml"


def layer_types(name: str) -> tuple[str, ...]:
    """The media types of its layers."""
    return tuple(f"application/vnd.gati.{name}.layer.v1.tar+{way}" for way in ("gzip", "zstd"))


@dataclass(frozen=True, slots=True)
class Dependency:
    """Another artifact that this one wants. `name` is a repository, `constraint` an npm-style range, channel or digest.

    `type` is runtime, dev, build or peer. `condition` narrows it: os, arch, env, feature, each one or several joined by
    commas; so does `scope` (production, development). `registry` is another one that has it.
    """

    name: str
    constraint: str
    type: str = "runtime"
    optional: bool = False
    reason: str = ""
    kind: str = ""
    condition: Mapping[str, str] = field(default_factory=dict)
    registry: str = ""
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What an artifact says of itself, whatever its kind: what is indexed, shown and resolved by.

    `numbers` and `words` are further fields of the kind that one can filter by (`context_length`, `quantisation`).
    `types` are GTypes by name, as pushed; `exports` are methods with the names of the types that each takes and gives.
    `problems` are doubts that do not refuse a push.
    """

    name: str = ""
    version: str = ""
    title: str = ""
    description: str = ""
    type: str = ""
    authors: tuple[str, ...] = ()
    license: str = ""
    languages: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    homepage: str = ""
    source: str = ""
    gati: str = ""
    platforms: tuple[str, ...] = ()
    checksums: Mapping[str, str] = field(default_factory=dict)
    dependencies: tuple[Dependency, ...] = ()
    types: Mapping[str, Any] = field(default_factory=dict)
    exports: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)
    words: Mapping[str, Sequence[str]] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def with_problems(self, *more: str) -> Facts:
        """With further doubts."""
        return replace(self, problems=(*self.problems, *more)) if more else self


Describe = Callable[[Any], Facts]
"""Facts of a checked config: an instance of the kind's model."""

Inspect = Callable[[Facts, Files], Awaitable[Facts]]
"""Facts completed by what the artifact's own files say. Reads them by range, within limits."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of artifact.

    Recognised by `artifact_types`, else by `config_types`, else (for foreign ones) by `layer_types`. A config of our
    own types (`vnd.gati.*`) must fit `model` and is described by `describe`; any other one by `foreign`, as the JSON
    object that it is.
    """

    name: str
    summary: str
    artifact_types: tuple[str, ...] = ()
    config_types: tuple[str, ...] = ()
    layer_types: tuple[str, ...] = ()
    model: type[BaseModel] | None = None
    describe: Describe | None = None
    foreign: Callable[[dict[str, Any]], Facts] | None = None
    inspect: Inspect | None = None
    aliases: tuple[str, ...] = ()

    @classmethod
    def own(
        cls,
        name: str,
        summary: str,
        model: type[BaseModel],
        describe: Describe,
        *,
        foreign: Callable[[dict[str, Any]], Facts] | None = None,
        inspect: Inspect | None = None,
        artifact_types: Sequence[str] = (),
        config_types: Sequence[str] = (),
        layers: Sequence[str] = (),
        aliases: Sequence[str] = (),
    ) -> Kind:
        """A kind with our media types, and those of others that mean the same."""
        return cls(
            name,
            summary,
            (artifact_type(name), *artifact_types),
            (config_type(name), yaml_config_type(name), *config_types),
            (*layer_types(name), *layers),
            model,
            describe,
            foreign,
            inspect,
            tuple(aliases),
        )


UNKNOWN = Kind("unknown", "An artifact of a type that no kind here knows: stored and listed as it is.")


class Kinds:
    """All kinds, by the media types that tell them."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._by_name: dict[str, Kind] = {}
        self._by_artifact: dict[str, Kind] = {}
        self._by_config: dict[str, Kind] = {}
        self._by_layer: dict[str, Kind] = {}
        for kind in kinds:
            if kind.name in self._by_name:
                raise ValueError(f"two kinds are called {kind.name}")
            self._by_name[kind.name] = kind
            for types, table in (
                (kind.artifact_types, self._by_artifact),
                (kind.config_types, self._by_config),
                (kind.layer_types, self._by_layer),
            ):
                for media_type in types:
                    if table.setdefault(media_type, kind) is not kind:
                        raise ValueError(f"{media_type} belongs to {table[media_type].name} and to {kind.name}")

    def __iter__(self) -> Any:
        return iter(self._by_name.values())

    def get(self, name: str) -> Kind | None:
        """A kind by its name."""
        return self._by_name.get(name)

    def recognise(self, artifact: str | None, config: str | None, layers: Sequence[str]) -> Kind:
        """The kind of a manifest with these media types."""
        found = self._by_artifact.get(artifact or "") or self._by_config.get(config or "")
        if found is None:
            found = next((kind for media in layers if (kind := self._by_layer.get(media))), None)
        return found or UNKNOWN


@cache
def installed() -> Kinds:
    """Ours, and those of installed distributions; as they were when this process first asked.

    Raises:
        ValueError: one of them is no kind, or two claim the same.
    """
    from gati_extensions.kinds.catalogue import KINDS

    others = []
    for entry in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda entry: entry.name):
        kind = entry.load()
        if not isinstance(kind, Kind):
            raise ValueError(f"the entry point {entry.name} of {GROUP} is no Kind")
        others.append(kind)
    return Kinds([*KINDS, *others])
