"""What the manifests of several kinds have in common. Unknown fields are let be: the bytes are kept as pushed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, field_validator, model_validator
from pydantic.alias_generators import to_camel

from gati_extensions.kinds import semver
from gati_extensions.kinds.kind import Dependency, Facts

MOST = 1000
"""Entries of any list or object of a manifest."""

Text = Annotated[str, StringConstraints(max_length=4096)]
Short = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Prose = Annotated[str, StringConstraints(max_length=65536)]
Words = Annotated[list[Short], Field(max_length=MOST)]
Types = Annotated[dict[Short, Any], Field(max_length=MOST)]

_CAPABILITY = re.compile(r"[A-Za-z0-9]+(?:[.:_/-][A-Za-z0-9*]+)*")
_AUTHOR = re.compile(r"\s*([^<(]*?)\s*(?:<([^>]*)>)?\s*(?:\(([^)]*)\))?\s*")


class Part(BaseModel):
    """Base of manifests and their parts. Fields are written in camelCase or as here."""

    model_config = ConfigDict(
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=True,
        alias_generator=to_camel,
        defer_build=True,  # a kind is built when the first artifact of it comes
    )


def _version(value: str) -> str:
    if semver.parse(value) is None:
        raise ValueError("must be a semantic version such as 1.2.3 or 1.2.3-beta.1")
    return value


SemVer = Annotated[Short, Field(max_length=semver.MAX_LENGTH)]


class Person(Part):
    """An author."""

    name: Short
    email: Text = ""
    url: Text = ""


def _person(value: Any) -> Any:
    if isinstance(value, str):
        found = _AUTHOR.fullmatch(value[:1024])
        name = (found[1] if found else value) or value
        return {"name": name, "email": (found[2] if found else "") or "", "url": (found[3] if found else "") or ""}
    return value


Author = Annotated[Person, BeforeValidator(_person, json_schema_input_type=str | Person)]


class Source(Part):
    """Where it is developed."""

    url: Text
    type: Text = ""


Repository = Annotated[
    Source,
    BeforeValidator(lambda v: {"url": v} if isinstance(v, str) else v, json_schema_input_type=str | Source),
]


class Comparison(Part):
    """A constraint written as an object; exactly one or several bounds."""

    eq: Short | None = None
    gt: Short | None = None
    gte: Short | None = None
    lt: Short | None = None
    lte: Short | None = None
    range: Short | None = None
    caret: Short | None = None
    tilde: Short | None = None
    wildcard: Short | None = None

    @model_validator(mode="after")
    def _some(self) -> Comparison:
        if not self.model_fields_set:
            raise ValueError("needs one of eq, gt, gte, lt, lte, range, caret, tilde, wildcard")
        return self

    def __str__(self) -> str:
        signs = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "caret": "^", "tilde": "~"}
        parts = [f"{sign}{value}" for name, sign in signs.items() if (value := getattr(self, name)) is not None]
        return " ".join([*parts, *(value for value in (self.range, self.wildcard) if value is not None)])


def _joined(value: Any) -> Any:
    """Several of them, also as an object of variables, as one text."""
    if isinstance(value, dict):
        value = [f"{name}={one}" for name, one in value.items()]
    return ",".join(value) if isinstance(value, list) and all(isinstance(one, str) for one in value) else value


OneOf = Annotated[Short, BeforeValidator(_joined)]


class Condition(Part):
    """When a dependency is wanted at all: one, or a list; of features all are needed."""

    os: OneOf | None = None
    arch: OneOf | None = None
    env: OneOf | None = None
    feature: OneOf | None = None


class Wanted(Part):
    """A dependency with more than a range."""

    version: Short | Comparison = "*"
    type: Literal["runtime", "dev", "build", "peer"] = "runtime"
    optional: bool = False
    reason: Text = ""
    registry: Text = ""
    scope: Text = ""
    condition: Condition | None = None


Dependencies = Annotated[
    dict[Short, Annotated[Short | Wanted, Field(union_mode="left_to_right")]], Field(max_length=MOST)
]


def capability(value: str) -> str:
    """Checked: `db:read`, `database.write`, `ai`."""
    if _CAPABILITY.fullmatch(value) is None:
        raise ValueError(f"{value[:60]!r} is no capability; write one like db:read, database.write or ai")
    return value


Capabilities = Annotated[list[Annotated[Short, BeforeValidator(lambda v: capability(v) if isinstance(v, str) else v)]],
                         Field(max_length=MOST)]  # fmt: skip

FAMILIES = {"database": "db", "authentication": "auth", "llm": "ai", "ml": "ai", "queues": "queue", "caching": "cache"}
"""Words for a family of capabilities that mean another one."""


def family(name: str) -> str:
    """`db:read` and `database.write` are both `db`."""
    word = re.split(r"[.:_/-]", name.lower(), maxsplit=1)[0]
    return FAMILIES.get(word, word)


class Manifest(Part):
    """What every kind's manifest may say."""

    name: Short
    version: SemVer
    title: Text = ""
    description: Prose = ""
    author: Author | None = None
    authors: Annotated[list[Author], Field(max_length=100)] = Field(default_factory=list)
    license: Text = ""
    keywords: Words = Field(default_factory=list)
    tags: Words = Field(default_factory=list)
    languages: Words = Field(default_factory=list)
    homepage: Text = ""
    repository: Repository | None = None
    capabilities: Capabilities = Field(default_factory=list)
    gtypes: Types | list[Any] = Field(default_factory=dict)
    checksums: Annotated[dict[Short, Short], Field(max_length=MOST)] = Field(default_factory=dict)
    checksum: Text = ""
    dependencies: Dependencies = Field(default_factory=dict)
    dev_dependencies: Dependencies = Field(default_factory=dict)
    peer_dependencies: Dependencies = Field(default_factory=dict)
    optional_dependencies: Dependencies = Field(default_factory=dict)
    gati_version: Text = ""

    _semantic = field_validator("version")(_version)


def facts(found: Manifest, **more: Any) -> Facts:
    """What is the same for every kind; `more` replaces or adds. `dependencies` given here are added."""
    wanted = [
        *dependencies(found.dependencies),
        *dependencies(found.dev_dependencies, type="dev"),
        *dependencies(found.peer_dependencies, type="peer"),
        *dependencies(found.optional_dependencies, optional=True),
        *more.pop("dependencies", ()),
    ]
    people = [found.author] if found.author else []
    checksums = dict(found.checksums) | ({"": found.checksum} if found.checksum else {})
    values: dict[str, Any] = {
        "name": found.name,
        "version": found.version,
        "title": found.title,
        "description": found.description,
        "authors": tuple(person.name for person in [*people, *found.authors]),
        "license": found.license,
        "languages": tuple(found.languages),
        "keywords": tuple(dict.fromkeys([*found.keywords, *found.tags])),
        "capabilities": tuple(dict.fromkeys(found.capabilities)),
        "homepage": found.homepage,
        "source": found.repository.url if found.repository else "",
        "gati": found.gati_version,
        "checksums": checksums,
        "types": types(found.gtypes),
    }
    return Facts(**{**values, **more}, dependencies=tuple(wanted))


def dependencies(
    wanted: Mapping[str, str | Wanted], *, type: str = "", optional: bool = False, kind: str = ""
) -> Iterable[Dependency]:
    """Dependencies as facts, under the repository that their name means."""
    for name, what in wanted.items():
        if isinstance(what, str):
            yield Dependency(repository(name), what, type or "runtime", optional, kind=kind)
            continue
        condition = what.condition.model_dump(exclude_none=True) if what.condition else {}
        yield Dependency(
            repository(name),
            str(what.version),
            type or what.type,
            optional or what.optional,
            what.reason,
            kind,
            condition,
            what.registry,
            what.scope,
        )


def references(names: Iterable[str], kind: str) -> Iterable[Dependency]:
    """References such as `orgs/acme/x`, `@acme/x@1.2.0` or `orgs/acme/x:v1` as dependencies."""
    for text in names:
        name, constraint = text, "*"
        at = text.rfind("@")
        if at > 0:
            name, constraint = text[:at], text[at + 1 :]
        elif ":" in text.rsplit("/", 1)[-1]:
            name, _, constraint = text.rpartition(":")
        yield Dependency(repository(name), constraint or "*", kind=kind)


def types(found: Mapping[str, Any] | list[Any]) -> dict[str, Any]:
    """GTypes by name, whether they came as an object or as a list of named ones."""
    if isinstance(found, Mapping):
        return dict(found)
    return {
        str(entry.get("name", number))[:256]: entry for number, entry in enumerate(found) if isinstance(entry, Mapping)
    }


_HOSTS = ("gati.dev/", "oci://")


def repository(name: str) -> str:
    """The repository that a name in a manifest means, as far as the name alone tells; a bare name stays bare.

    Source: the table of names in the registry's decisions.
    """
    for prefix in _HOSTS:
        name = name.removeprefix(prefix)
    if name.startswith("@user/"):
        return f"users/{name[6:]}"
    if name.startswith("mlld://"):
        return f"users/{name[7:]}"
    if name.startswith("@") and "/" in name:
        return f"orgs/{name[1:]}"
    for prefix, root in (("org.", "orgs/"), ("user.", "users/")):
        if name.startswith(prefix) and name.count(".") >= 2:
            return root + name[len(prefix) :].replace(".", "/")
    for prefix, root in (("lib.", "library/"), ("pkg.", "library/"), ("global/", "library/"), ("system.", "system/"),
                         ("hyper.", "system/"), ("local.", "local/")):  # fmt: skip
        if name.startswith(prefix):
            return root + name[len(prefix) :].replace(".", "/")
    return name


_ROOTS = frozenset({"orgs", "users", "library", "system", "local"})


def meanings(name: str, own: str | None) -> list[str]:
    """Repositories that a canonical name could mean, the first choice first; `own` is the asker's namespace.

    Source: the table of names in the registry's decisions.
    """
    if "/" not in name:
        return [*([f"{own}/{name}"] if own else []), f"library/{name}", name]
    if name.partition("/")[0] in _ROOTS:
        return [name]
    return [name, f"orgs/{name}", f"users/{name}"]


def acyclic(needs: Mapping[str, Sequence[str]], what: str) -> None:
    """Raises ValueError with the path of a circle."""
    done: set[str] = set()
    for start in needs:
        path: dict[str, int] = {}
        stack = [(start, iter(needs.get(start, ())))]
        path[start] = 0
        while stack:
            name, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                stack.pop()
                path.pop(name)
                done.add(name)
            elif following in path:
                circle = [*list(path)[path[following] :], following]
                raise ValueError(f"{what} need each other in a circle: " + " → ".join(circle[:20]))
            elif following not in done:
                path[following] = len(path)
                stack.append((following, iter(needs.get(following, ()))))
