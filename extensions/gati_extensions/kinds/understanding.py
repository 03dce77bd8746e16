"""What a pushed manifest is: its kind, checked, and the facts it tells. Runs before the push's transaction, so it may
read the repository's blobs; nothing is stored here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pydantic import ValidationError

from gati_extensions.kinds import yaml
from gati_extensions.kinds.files import File, Files, Malformed, Window, opener
from gati_extensions.kinds.gtypes.signatures import NONE, Signatures, signatures
from gati_extensions.kinds.gtypes.tree import BadType
from gati_extensions.kinds.json import Invalid, strict
from gati_extensions.kinds.kind import UNKNOWN, Facts, Kind, Kinds
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Core, Push, Refusal
from gati_registry.values.digest import Digest
from gati_registry.values.mediatype import INDEXES, is_distributable
from gati_registry.values.reference import RepositoryName

OURS = "application/vnd.gati."
INLINE = 32 * 1024
"""Configs up to this many bytes are checked on the event loop; larger ones in a thread."""
MAX_LAYERS = 1000
"""Layers of one manifest that are looked at."""

_TITLE = "org.opencontainers.image.title"
_ANNOTATED = {
    "title": "title", "description": "description", "version": "version", "licenses": "license", "url": "homepage",
    "source": "source",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Understood:
    """A manifest's kind and facts. `content` is the same for artifacts whose layers are."""

    kind: str
    facts: Facts
    content: str
    signatures: Signatures = NONE


class Understanding:
    """Tells what manifests are. `max_config` bounds a config, in bytes."""

    def __init__(self, core: Core, kinds: Kinds, max_config: int) -> None:
        self._core = core
        self._kinds = kinds
        self._max_config = max_config

    async def __call__(self, push: Push) -> Mapping[str, Any] | Refusal | None:
        """An inspector: refuses a config of ours that is not what its kind wants."""
        try:
            return {"understood": await self.of(push.repository, push.data)}
        except RegistryError as error:
            return Refusal(error.code, error.message, error.detail)

    async def of(self, repository: RepositoryName, data: bytes) -> Understood:
        """What a manifest of the repository is.

        Raises:
            RegistryError: MANIFEST_INVALID, with the pointer of what is wrong.
        """
        try:
            document = await asyncio.to_thread(strict, data) if len(data) > INLINE else strict(data)
        except Invalid:
            return Understood(UNKNOWN.name, Facts(), "")  # some other format; the core takes it as it is
        config = _descriptor(document.get("config"))
        layers = [found for raw in _listed(document, "layers") if (found := _descriptor(raw))]
        kind = self._kinds.recognise(
            _text(document.get("artifactType")),
            config["mediaType"] if config else None,
            [layer["mediaType"] for layer in layers],
        )
        if _text(document.get("mediaType")) in INDEXES or isinstance(document.get("manifests"), list):
            return await self._index(repository, document, kind)
        facts, told = await self._config(repository, kind, config) if config else (Facts(), NONE)
        facts = _annotated(facts, document.get("annotations"))
        if kind.inspect is not None and layers:
            facts = await kind.inspect(facts, self._files(repository, layers))
        content = ",".join(sorted(layer["digest"] for layer in layers))
        return Understood(kind.name, facts, Digest.of(content.encode()) if content else "", told)

    async def _index(self, repository: RepositoryName, document: dict[str, Any], kind: Kind) -> Understood:
        """Of an index: its own type, else what its first member that says something is; the platforms of all."""
        platforms, members = [], []
        for raw in _listed(document, "manifests"):
            if not isinstance(raw, dict):
                continue
            platform = raw.get("platform")
            if isinstance(platform, dict) and platform.get("os") not in (None, "unknown"):
                platforms.append(
                    "/".join(str(platform[name]) for name in ("os", "architecture", "variant") if platform.get(name))
                )
                members.append(raw.get("digest"))
            elif not isinstance(platform, dict):
                members.append(raw.get("digest"))
        facts = Facts()
        for digest in members[:3]:
            data = await self._member(repository, digest)
            if data is None or isinstance(data.get("manifests"), list):
                continue
            config = _descriptor(data.get("config"))
            found = self._kinds.recognise(_text(data.get("artifactType")), config["mediaType"] if config else None, [])
            if found is not UNKNOWN:
                kind = found if kind is UNKNOWN else kind
                with suppress(RegistryError):  # the member was pushed before there was anybody to refuse it
                    facts = (await self._config(repository, found, config))[0] if config else facts
                break
        facts = _annotated(replace(facts, platforms=tuple(dict.fromkeys(platforms))), document.get("annotations"))
        content = ",".join(sorted(str(digest) for digest in members))
        return Understood(kind.name, facts, Digest.of(content.encode()) if content else "")

    async def _member(self, repository: RepositoryName, digest: Any) -> dict[str, Any] | None:
        try:
            data = (
                await self._core.manifest_bytes(repository, Digest.parse(digest)) if isinstance(digest, str) else None
            )
            return strict(data) if data is not None else None
        except (RegistryError, Invalid):
            return None

    async def _config(
        self, repository: RepositoryName, kind: Kind, config: Mapping[str, Any]
    ) -> tuple[Facts, Signatures]:
        ours = config["mediaType"].startswith(OURS) and kind.model is not None
        if not ours and kind.foreign is None:
            return Facts(), NONE
        if config["size"] > self._max_config:
            if ours:
                raise _invalid("/config/size", f"a config of this kind has at most {self._max_config} bytes")
            return _doubted(f"its config is larger than {self._max_config} bytes and was not read")
        data = await self._read(repository, config)
        if data is None:
            return _doubted("its config is not stored here and was not read")
        media_type = config["mediaType"]
        read = partial(checked if ours else _flagged, kind, media_type, data)
        return await asyncio.to_thread(read) if len(data) > INLINE or _is_yaml(media_type) else read()

    async def _read(self, repository: RepositoryName, config: Mapping[str, Any]) -> bytes | None:
        try:
            found = await self._core.blob(repository, Digest.parse(config["digest"]))
        except RegistryError:
            return None
        if found is None:
            return None
        size, reader = found
        window = Window(reader, size, self._max_config)
        try:
            return await window.read(0, size)
        except Malformed:  # larger than its descriptor says
            return None
        finally:
            window.close()

    def _files(self, repository: RepositoryName, layers: Sequence[Mapping[str, Any]]) -> Files:
        files = []
        for layer in layers:
            try:
                digest = Digest.parse(layer["digest"])
            except RegistryError:
                continue
            if not is_distributable(layer["mediaType"]):
                continue
            annotations = layer["annotations"]
            title = annotations.get(_TITLE) or annotations.get("org.cncf.model.filepath") or ""
            files.append(
                File(
                    layer["mediaType"],
                    digest,
                    layer["size"],
                    title if isinstance(title, str) else "",
                    opener(partial(self._core.blob, repository), digest),
                )
            )
        return Files(files)


def _listed(document: Mapping[str, Any], name: str) -> list[Any]:
    found = document.get(name)
    return found[:MAX_LAYERS] if isinstance(found, list) else []


def document_of(media_type: str, data: bytes) -> dict[str, Any]:
    """A config, JSON or YAML by its media type.

    Raises:
        Invalid: it is none.
    """
    return yaml.strict(data) if _is_yaml(media_type) else strict(data)


def checked(kind: Kind, media_type: str, data: bytes) -> tuple[Facts, Signatures]:
    """The facts of a config of ours, and its GTypes.

    Raises:
        RegistryError: MANIFEST_INVALID, it does not fit the kind.
    """
    assert kind.model is not None
    assert kind.describe is not None
    try:
        document = document_of(media_type, data)
        facts = kind.describe(kind.model.model_validate(document))
        found = signatures(document.get("gtypes"), facts.exports, "/gtypes")
    except Invalid as error:
        raise _invalid("/config", f"the config {error}") from None
    except BadType as error:
        raise _invalid(error.pointer, f"the config of this {kind.name} is not valid: {error.problem}") from None
    except ValidationError as error:
        raise _of_model(kind, error) from None
    return facts.with_problems(*found.problems), found


def _flagged(kind: Kind, media_type: str, data: bytes) -> tuple[Facts, Signatures]:
    """Those of somebody else's, which is never refused."""
    assert kind.foreign is not None
    try:
        return kind.foreign(document_of(media_type, data)), NONE
    except Invalid as error:
        return _doubted(f"its config {error}")


def _doubted(problem: str) -> tuple[Facts, Signatures]:
    return Facts().with_problems(problem), NONE


def _is_yaml(media_type: str) -> bool:
    return media_type.endswith("yaml")


def _descriptor(raw: Any) -> dict[str, Any] | None:
    """A descriptor of the usual form; the core has refused others where they matter."""
    if not isinstance(raw, dict) or not isinstance(raw.get("mediaType"), str) or not isinstance(raw.get("digest"), str):
        return None
    size, annotations = raw.get("size"), raw.get("annotations")
    return {
        "mediaType": raw["mediaType"],
        "digest": raw["digest"],
        "size": size if type(size) is int else 0,
        "annotations": annotations if isinstance(annotations, dict) else {},
    }


def _annotated(facts: Facts, annotations: Any) -> Facts:
    """Completed by the standard annotations. Source: image-spec annotations.md."""
    if not isinstance(annotations, dict):
        return facts
    found: dict[str, Any] = {}
    for name, field in _ANNOTATED.items():
        value = annotations.get(f"org.opencontainers.image.{name}")
        if isinstance(value, str) and value and not getattr(facts, field):
            found[field] = value[:4096]
    authors = annotations.get("org.opencontainers.image.authors")
    if isinstance(authors, str) and authors and not facts.authors:
        found["authors"] = (authors[:1024],)
    return replace(facts, **found) if found else facts


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _invalid(pointer: str, problem: str, more: Sequence[Mapping[str, str]] = ()) -> RegistryError:
    return RegistryError(
        Code.MANIFEST_INVALID,
        f"{pointer}: {problem}",
        detail={"pointer": pointer, "problems": list(more)} if more else {"pointer": pointer},
    )


def _of_model(kind: Kind, error: ValidationError) -> RegistryError:
    """All that is wrong with a config, by JSON pointers into it; the first one in the message."""
    problems = [
        {
            "pointer": "/"
            + "/".join(str(part).replace("~", "~0").replace("/", "~1")[:100] for part in _place(problem["loc"])),
            "problem": problem["msg"].removeprefix("Value error, "),
        }
        for problem in error.errors(include_url=False, include_context=False, include_input=False)[:20]
    ]
    first = problems[0]
    return _invalid(first["pointer"], f"the config of this {kind.name} is not valid: {first['problem']}", problems)


def _place(location: tuple[int | str, ...]) -> Sequence[int | str]:
    """Without the marks that a union's branches leave in a location."""
    return [part for part in location if isinstance(part, int) or (part and "[" not in part and part not in _BRANCHES)]


_BRANCHES = frozenset({"Wanted", "Comparison", "str", "constrained-str", "Source", "Person", "Capabilities"})
