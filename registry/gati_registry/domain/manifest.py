"""What the core must understand of a manifest: its references, its subject, how it lists as a referrer.

Manifests are stored and returned byte for byte; nothing here changes them. Unknown media types are welcome: of JSON
ones the usual fields are read where they have the usual form, anything else is kept as it is.

Sources: image-spec manifest.md and image-index.md; distribution-spec end-7.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gati_registry.errors import Code, RegistryError
from gati_registry.values import mediatype
from gati_registry.values.descriptor import Descriptor
from gati_registry.values.digest import Digest

MAX_DEPTH = 64
"""Nesting of a manifest's JSON. Real ones stay below ten."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A parsed manifest.

    `required` is what must be present in the repository before it is accepted, `references` all that it keeps alive.
    """

    media_type: str
    required: tuple[Digest, ...]
    references: tuple[Digest, ...]
    subject: Digest | None
    artifact_type: str | None
    annotations: Mapping[str, str]

    def descriptor(self, digest: Digest, size: int) -> Descriptor:
        """How this manifest stands in a list of referrers."""
        return Descriptor(self.media_type, digest, size, self.artifact_type, self.annotations or None)


def parse(data: bytes, content_type: str | None) -> Manifest:
    """Read a manifest as pushed with `content_type`.

    Raises:
        RegistryError: MANIFEST_INVALID, with the field's JSON pointer in the detail.
    """
    declared = mediatype.parse_media_type(content_type) if content_type else None
    if declared in mediatype.GENERIC:
        declared = None
    if declared in mediatype.DOCKER_SCHEMA1:
        raise _schema1()
    if declared is not None and not declared.endswith("json"):
        return Manifest(declared, (), (), None, None, {})
    document = load_json(data)
    if document.get("schemaVersion") == 1 and "fsLayers" in document:
        raise _schema1()
    own = document.get("mediaType")
    if own is not None and not isinstance(own, str):
        raise invalid("/mediaType", "must be a string")
    if own and declared and mediatype.parse_media_type(own).lower() != declared.lower():
        raise invalid("/mediaType", f"is {own[:200]!r} but the Content-Type says {declared!r}; make them equal")
    media_type = declared or (mediatype.parse_media_type(own) if own else _guess(document))
    return _read(media_type, document)


def invalid(pointer: str, problem: str) -> RegistryError:
    """A MANIFEST_INVALID that names the field."""
    return RegistryError(
        Code.MANIFEST_INVALID, f"manifest invalid: {pointer or 'the document'} {problem}", detail={"pointer": pointer}
    )


def _schema1() -> RegistryError:
    return RegistryError(
        Code.MANIFEST_INVALID,
        "docker image manifest schema 1 is not accepted; push the image again with a current client (schema 2 or OCI)",
        detail={"pointer": "/schemaVersion"},
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise invalid("", f"has the key {key[:100]!r} twice in one object")
            seen.add(key)
    return out


def _no_constant(name: str) -> Any:
    raise invalid("", f"holds {name}, which is not JSON")


def load_json(data: bytes, depth: int = MAX_DEPTH) -> dict[str, Any]:
    """A JSON object as it may come from outside: UTF-8, no key twice, no NaN, nested no deeper than `depth`.

    Raises:
        RegistryError: MANIFEST_INVALID.
    """
    try:
        document = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise invalid("", f"is not UTF-8 (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise invalid("", f"is not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise invalid("", f"is nested deeper than {depth} levels") from None
    except ValueError:  # an integer of more digits than Python converts
        raise invalid("", "holds a number that is too long") from None
    if not isinstance(document, dict):
        raise invalid("", "must be a JSON object")
    _check_depth(document, depth)
    return document


def _check_depth(document: Any, depth: int) -> None:
    level = [document]
    for _ in range(depth):
        below: list[Any] = []
        for value in level:
            children = value.values() if isinstance(value, dict) else value
            below += [child for child in children if isinstance(child, dict | list)]
        if not below:
            return
        level = below
    raise invalid("", f"is nested deeper than {depth} levels")


def _guess(document: dict[str, Any]) -> str:
    if isinstance(document.get("manifests"), list):
        return mediatype.OCI_INDEX
    if isinstance(document.get("config"), dict) and isinstance(document.get("layers"), list):
        return mediatype.OCI_MANIFEST
    raise invalid("/mediaType", "is missing and there is no Content-Type; send the manifest's media type")


def _read(media_type: str, document: dict[str, Any]) -> Manifest:
    strict = media_type in mediatype.IMAGES or media_type in mediatype.INDEXES
    version = document.get("schemaVersion")
    if strict and (type(version) is not int or version != 2):
        raise invalid("/schemaVersion", "must be 2")
    if media_type in mediatype.IMAGES:
        for field, kind in (("config", dict), ("layers", list)):
            if not isinstance(document.get(field), kind):
                raise invalid(f"/{field}", "is required in an image manifest")
    if media_type in mediatype.INDEXES and not isinstance(document.get("manifests"), list):
        raise invalid("/manifests", "is required in an index")
    subject = None
    if document.get("subject") is not None:
        subject = _descriptor(document["subject"], "/subject", strict=strict)
    required: dict[Digest, None] = {}
    references: dict[Digest, None] = {}
    config_type: str | None = None
    for pointer, raw in _content(document, strict=strict):
        found = _descriptor(raw, pointer, strict=strict)
        if found is None:
            continue
        references[found.digest] = None
        if mediatype.is_distributable(found.media_type):
            required[found.digest] = None
        if pointer == "/config":
            config_type = found.media_type
    artifact_type = document.get("artifactType")
    if artifact_type is not None and not _is_word(artifact_type, empty=True):
        raise invalid("/artifactType", "must be a string of printable characters")
    if not artifact_type and media_type not in mediatype.INDEXES:
        artifact_type = config_type
    return Manifest(
        media_type,
        tuple(required),
        tuple(references),
        subject.digest if subject else None,
        artifact_type or None,
        _annotations(document.get("annotations")),
    )


def _content(document: dict[str, Any], *, strict: bool) -> Iterator[tuple[str, Any]]:
    """Where descriptors of content stand: image manifests, indexes, the former artifact manifest, and their like."""
    if document.get("config") is not None:
        yield "/config", document["config"]
    for field in ("layers", "manifests", "blobs"):
        values = document.get(field)
        if isinstance(values, list):
            for number, value in enumerate(values):
                yield f"/{field}/{number}", value
        elif values is not None and strict:
            raise invalid(f"/{field}", "must be a list")


def _descriptor(raw: Any, pointer: str, *, strict: bool) -> Descriptor | None:
    """A descriptor, or None for another shape in a media type that we do not know."""
    problem = None
    if not isinstance(raw, dict):
        problem = ("", "must be a descriptor object")
    elif not isinstance(raw.get("digest"), str):
        problem = ("/digest", "must be a digest")
    elif not _is_word(raw.get("mediaType")):
        problem = ("/mediaType", "must be a media type")
    elif type(raw.get("size")) is not int or not 0 <= raw["size"] < 2**63:
        problem = ("/size", "must be a number of bytes")
    if problem is not None:
        if strict:
            raise invalid(pointer + problem[0], problem[1])
        return None
    try:
        return Descriptor(raw["mediaType"], Digest.parse(raw["digest"]), raw["size"])
    except RegistryError as error:
        if strict:
            raise invalid(pointer + "/digest", f"is invalid: {error.message}") from None
        return None


def _annotations(raw: Any) -> Mapping[str, str]:
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise invalid("/annotations", "must be an object of strings")
    for key, value in raw.items():
        if not isinstance(value, str) or not _is_unicode(key) or not _is_unicode(value):
            pointer = key.replace("~", "~0").replace("/", "~1")[:200]
            raise invalid(f"/annotations/{pointer}", "must be a string, and both its name and value valid Unicode")
    return raw


def _is_word(value: Any, *, empty: bool = False) -> bool:
    """Whether it may stand where a media type is expected. Its form is the client's affair; that it is text is ours."""
    return isinstance(value, str) and value.isprintable() and (empty or value != "")


def _is_unicode(text: str) -> bool:
    """JSON can write half of a surrogate pair, which no database and no other program takes for text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
