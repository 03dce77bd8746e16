"""Search indexes with very much in them: documents as pushes would have made them, written in bulk.

Words follow Zipf's law, as texts' words do; what a document is follows from its number alone.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import random
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from operator import itemgetter

from bench.filling import Row, Target
from gati_extensions.search.opensearch import OpenSearchIndex, Server
from gati_extensions.search.ports import Document
from gati_extensions.search.store import documents as rows
from gati_extensions.search.store.fts5 import COLUMNS as FTS5
from gati_extensions.search.store.fts5 import columns_of
from gati_extensions.search.store.tsvector import in_block, words_of

VOCABULARY = 60_000
ORGANIZATIONS = 20_000
_AT_ONCE = 10_000
_AHEAD = 4
"""Batches that are made while one is written."""

_CONSONANTS, _VOWELS = "bcdfghklmnprstvz", "aeiou"

KINDS = ("module", "model", "plugin", "agent", "template", "dataset", "image", "prompt")
LICENSES = ("mit", "apache-2.0", "bsd-3-clause", "gpl-3.0", "proprietary")
LANGUAGES = ("typescript", "python", "rust", "go", "java", "en", "de")
CAPABILITIES = ("db", "auth", "ai", "queue", "cache", "mail")
COMMON = (60, 25, 8, 4, 2, 1, 1, 1)


def _vocabulary() -> list[str]:
    made = random.Random(1)
    found: dict[str, None] = {}
    while len(found) < VOCABULARY:
        length = made.choice((2, 2, 3, 3, 4))
        found["".join(made.choice(_CONSONANTS) + made.choice(_VOWELS) for _ in range(length))] = None
        if len(found) % 3 == 0:
            found["".join(made.choice(_CONSONANTS) + made.choice(_VOWELS) for _ in range(length)) + "n"] = None
    return list(found)[:VOCABULARY]


WORDS = _vocabulary()
"""From the most frequent to the rarest: about the share 1 / (9 · (place + 10)) of all words."""

_CUMULATIVE = list(itertools.accumulate(1 / (place + 10) for place in range(VOCABULARY)))

WORD = {"very common": WORDS[0], "medium": WORDS[250], "rare": WORDS[-20]}
"""In about every fifth, every hundredth and every thirty-thousandth document."""


def document(number: int, now: int) -> Document:
    """The document of a number."""
    made = random.Random(number)

    def text(count: int) -> list[str]:
        return made.choices(WORDS, cum_weights=_CUMULATIVE, k=count)

    org = f"o{int(made.paretovariate(0.6)) % ORGANIZATIONS:05d}"
    # What lies in `library` is public, what lies below an organization that nobody has is private.
    (level,) = made.choices(("public", "private"), weights=(90, 10))
    namespace = f"{'library' if level == 'public' else 'orgs'}/{org}"
    name = f"{namespace}/{'-'.join(text(2))}-{number}"
    (kind,) = made.choices(KINDS, weights=COMMON)
    keywords = tuple(text(3))
    numbers = {"context_length": float(2 ** made.randint(9, 20))} if kind == "model" else {}
    downloads, stars = int(made.paretovariate(0.7)) - 1, int(made.paretovariate(1.1)) - 1
    (license_name,) = made.choices(LICENSES, weights=COMMON[:5])
    return Document(
        name=name, kind=kind, version=f"{made.randint(0, 3)}.{made.randint(0, 9)}.0", digest=f"sha256:{number:064x}",
        version_key=f"01{made.randint(0, 3)}.", title=" ".join(text(3)), description=" ".join(text(12)),
        keywords=keywords, license=license_name, publisher=org, level=level, stars=min(stars, 10**6),
        downloads=min(downloads, 10**9), created_at=now - 60_000 * number, updated_at=now - 1_000 * number,
        words={
            "kind": (kind,), "namespace": ("library", namespace) if level == "public" else (namespace,),
            "name": (name,), "publisher": (org,),
            "license": (license_name,), "language": tuple(made.sample(LANGUAGES, 1)), "keyword": keywords,
            "capability": tuple(made.sample(CAPABILITIES, made.randint(0, 2))), "state": ("published",),
            "tag": ("latest", "1.0.0"),
        },
        numbers=numbers,
    )  # fmt: skip


COLUMNS: Mapping[str, Sequence[str]] = {
    "repository": ("id", "name", "created_at"),
    "namespaces_repository": ("name", "visibility", "bytes", "manifests"),
    "search_index_document1": (
        *("id", "name", "base", "version_key", "digest", "stars", "downloads", "created_at", "updated_at"),
        "facets",
    ),
    "search_index_body1": ("id", "body"),
    "search_index_number1": ("document", "field", "number"),
    "search_index_word1": ("word", "initial", "length", "number"),
    "search_index_state": ("slot", "role"),
}


_SQLITE_INDEXES = [
    f"SELECT group_concat({column}) FROM (SELECT name, sql || ';' AS definition FROM sqlite_schema WHERE type = 'index'"
    " AND tbl_name GLOB 'search_index_*1' AND sql IS NOT NULL ORDER BY name)"
    for column in ("name", "definition, ''")
]
_POSTGRESQL_INDEXES = [
    f"SELECT string_agg({column}, '{between}' ORDER BY indexname) FROM pg_indexes WHERE schemaname = current_schema()"
    " AND tablename LIKE 'search\\_index\\_%1' AND indexdef NOT LIKE 'CREATE UNIQUE%'"
    for column, between in (("indexname", ", "), ("indexdef", "; "))
]
"""Names and definitions of an index's own indexes, but for those of its keys."""


def fill(target: Target, count: int, *, postgresql: bool, now: int | None = None) -> None:
    """Make an index of `count` documents that serves, in a database with its schema and without documents."""
    now = now if now is not None else time.time_ns() // 1_000_000
    columns = {**COLUMNS, "search_index_text1": ("id", "words") if postgresql else ("rowid", *FTS5)}
    words: Counter[str] = Counter()
    following: dict[int, Iterator[int]] = {}
    names, definitions = (target.one(sql) for sql in (_POSTGRESQL_INDEXES if postgresql else _SQLITE_INDEXES))
    target.run(f"DROP INDEX {names}" if postgresql else ";".join(f"DROP INDEX {one}" for one in names.split(",")))
    # In the order in which they were pushed: the newest comes last. Texts are made in processes beside.
    batches = [(start, max(start - _AT_ONCE, 0), now, postgresql) for start in range(count, 0, -_AT_ONCE)]
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting: deque[Future[tuple[list[_Made], Counter[str]]]] = deque()
        for batch in batches[:_AHEAD]:
            waiting.append(pool.submit(_batch, *batch))
        for place in range(len(batches)):
            made, seen = waiting.popleft().result()
            if place + _AHEAD < len(batches):
                waiting.append(pool.submit(_batch, *batches[place + _AHEAD]))
            words.update(seen)
            found: dict[str, list[Row]] = {table: [] for table in columns}
            for one in made:
                low, _ = rows.tier_range(one.tier)
                _add(found, one, next(following.setdefault(one.tier, itertools.count(low + 1))), postgresql=postgresql)
            # FTS5 writes a segment whenever an id is lower than the one before.
            found["search_index_text1"].sort(key=itemgetter(0))
            target.write(found, columns)
    last: dict[str, list[Row]] = {
        "search_index_word1": [(word, word[0], len(word), number) for word, number in sorted(words.items())],
        "search_index_state": [(1, "serving")],
    }
    target.run("DELETE FROM search_index_state")  # an empty one serves after a first start
    target.write(last, columns)
    target.run(definitions)  # made at once they take a fraction of the time
    target.finish()


OUTSIDE: Mapping[str, Sequence[str]] = {
    "repository": ("id", "name", "created_at"),
    "namespaces_repository": ("name", "visibility", "bytes", "manifests"),
    "kinds_repository": ("name", "kind", "latest", "digest", "title", "description", "created_at", "updated_at"),
}
"""What the registry's database is asked of candidates that an index elsewhere has found."""


def fill_outside(target: Target, url: str, count: int, now: int | None = None) -> None:
    """The same in an OpenSearch that has no index yet, filled as a build of the registry's would; `url` is the
    registry's setting."""
    now = now if now is not None else time.time_ns() // 1_000_000
    asyncio.run(_indexing(url, OpenSearchIndex.begin))
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        sent = [pool.submit(_send, url, start, max(start - _AT_ONCE, 0), now) for start in range(count, 0, -_AT_ONCE)]
        for one in sent:
            target.write(one.result(), OUTSIDE)
    asyncio.run(_indexing(url, OpenSearchIndex.switch))
    target.finish()


def _send(url: str, start: int, stop: int, now: int) -> dict[str, list[Row]]:
    """Put documents into the index that is being built; their rows in the database."""
    made = [document(number, now) for number in range(start, stop, -1)]
    asyncio.run(_indexing(url, lambda index: index.put(made, [], building=True)))
    return {
        "repository": [(1_000_000 + start - place, one.name, one.created_at) for place, one in enumerate(made)],
        "namespaces_repository": [(one.name, one.level, 0, 1) for one in made],
        "kinds_repository": [
            (one.name, one.kind, "1.0.0", one.digest, one.title, one.description, one.created_at, one.updated_at)
            for one in made
        ],
    }


async def _indexing(url: str, work: Callable[[OpenSearchIndex], Awaitable[None]]) -> None:
    index = OpenSearchIndex(Server.parse(url, timeout=120), _unasked)
    try:
        await work(index)
    finally:
        await index.close()


async def _unasked(*_: object) -> Sequence[str]:
    """What a caller may see matters to nobody who fills."""
    return []


@dataclass(frozen=True, slots=True)
class _Made:
    """What a document's rows have but its id in the index."""

    tier: int
    number: int
    name: str
    level: str
    created_at: int
    columns: Row
    body: str
    numbers: Mapping[str, float]
    text: tuple[str, ...]


def _batch(start: int, stop: int, now: int, postgresql: bool) -> tuple[list[_Made], Counter[str]]:
    found, words = [], Counter[str]()
    for number in range(start, stop, -1):
        made = document(number, now)
        found.append(
            _Made(
                rows.tier(made), number, made.name, made.level, made.created_at,
                (
                    *(rows.base(made.name), made.version_key, made.digest, made.stars, made.downloads),
                    *(made.created_at, made.updated_at, rows.facets(made)),
                ),
                rows.encoded(made), made.numbers, (words_of(made),) if postgresql else columns_of(made),
            )
        )  # fmt: skip
        words.update(rows.vocabulary(made))
    return found, words


def _add(found: dict[str, list[Row]], made: _Made, number: int, *, postgresql: bool) -> None:
    found["repository"].append((1_000_000 + made.number, made.name, made.created_at))
    found["namespaces_repository"].append((made.name, made.level, 0, 1))
    found["search_index_document1"].append((number, made.name, *made.columns))
    found["search_index_body1"].append((number, made.body))
    found["search_index_number1"] += [(number, field, value) for field, value in made.numbers.items()]
    text = (in_block(made.text[0], number),) if postgresql else made.text
    found["search_index_text1"].append((number, *text))
