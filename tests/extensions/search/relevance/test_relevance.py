"""How well each ranking answers what people type: nDCG@10 over a labelled set, printed and kept from falling.

`corpus.txt` and `queries.txt` tell how they are written.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from gati_extensions.search.ports import Document, SearchIndex
from tests.core.support import FakeClock, scratch
from tests.extensions.access.support import World, world
from tests.extensions.search.support import EXTENSIONS, indexed, job, search

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(1200)]

HERE = Path(__file__).parent
FLOORS = {"lexical": 0.70, "semantic": 0.69, "fused": 0.79}
"""What each ranking reaches; docs/searching.md has the figures of each kind of query."""

CUT = 10


@dataclass(frozen=True, slots=True)
class Artifact:
    """A line of the corpus."""

    kind: str
    name: str
    description: str
    keywords: tuple[str, ...]
    topic: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A line of the queries: grades by repository."""

    kind: str
    text: str
    grades: Mapping[str, int]


def corpus() -> list[Artifact]:
    """`# topic`, then `kind repository | description | keywords` for each artifact of it."""
    found, topic = [], ""
    for line in (HERE / "corpus.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            topic = line[2:]
            continue
        name, description, keywords = line.split(" | ")
        kind, _, name = name.partition(" ")
        found.append(Artifact(kind, name, description, tuple(keywords.split(", ")), topic))
    return found


def queries(artifacts: Sequence[Artifact]) -> list[Asked]:
    """`kind | text | grade: repositories and #topics | …`"""
    found = []
    for line in (HERE / "queries.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        kind, text, *graded = line.split(" | ")
        grades: dict[str, int] = {}
        for part in graded:
            grade, _, targets = part.partition(": ")
            for target in targets.split():
                names = [a.name for a in artifacts if a.topic == target[1:]] if target[0] == "#" else [target]
                for name in names:
                    grades[name] = max(grades.get(name, 0), int(grade))
        found.append(Asked(kind, text, grades))
    return found


def ndcg(shown: Sequence[str], grades: Mapping[str, int]) -> float:
    """Of the first ten: gains of 2^grade - 1, discounted by the logarithm of the rank, over the best there could be.

    Source: Burges et al., Learning to Rank using Gradient Descent, ICML 2005.
    """

    def gain(found: Sequence[int]) -> float:
        return sum((2.0**grade - 1) / math.log2(rank + 1) for rank, grade in enumerate(found[:CUT], 1))

    return gain([grades.get(name, 0) for name in shown]) / gain(sorted(grades.values(), reverse=True))


def document(artifact: Artifact) -> Document:
    """As it is indexed after a push; half a thousand pushes would take longer than all the rest."""
    name = f"library/{artifact.name}"
    words = {
        "kind": (artifact.kind,), "name": (name, name.rpartition("/")[2]), "namespace": ("library",),
        "keyword": artifact.keywords, "state": ("published",),
    }  # fmt: skip
    digest = f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"
    return Document(
        name,
        artifact.kind,
        "1.0.0",
        digest,
        description=artifact.description,
        keywords=artifact.keywords,
        level="public",
        words=words,
    )


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop: the corpus is pushed once."""
    return "asyncio"


@pytest.fixture(scope="module")
async def site(anyio_backend: str) -> AsyncIterator[World]:
    """A registry that holds the corpus."""
    with scratch() as folder:
        async with world(folder, FakeClock(), extensions=EXTENSIONS, **{"search.semantic": "true"}) as built:
            await indexed(built)
            index: SearchIndex = next(c.api.index for e, c in built.registry.extensions.parts if e.name == "search")
            await index.put([document(artifact) for artifact in corpus()], [])
            await job(built, "search.embed").run()
            yield built


def test_the_set_is_what_it_says() -> None:
    artifacts = corpus()
    names = {artifact.name for artifact in artifacts}
    asked = queries(artifacts)
    assert len(names) == len(artifacts) >= 500
    assert len({one.text for one in asked}) == len(asked) >= 60
    for one in asked:
        assert set(one.grades) <= names, one
        assert max(one.grades.values()) == 3, one
    kinds = [one.kind for one in asked]
    assert all(kinds.count(kind) >= 5 for kind in ("typo", "prefix", "synonym", "foreign", "name", "phrase"))
    assert ndcg(["a", "b"], {"a": 3, "b": 1}) == 1 > ndcg(["b", "a"], {"a": 3, "b": 1}) > ndcg(["x"], {"a": 3}) == 0


async def test_each_ranking_answers_as_well_as_before(site: World, capsys: pytest.CaptureFixture[str]) -> None:
    asked = queries(corpus())
    kinds = sorted({one.kind for one in asked})
    lines = [f"{'nDCG@10':10}" + "".join(f"{kind:>9}" for kind in (*kinds, "all"))]
    reached: dict[str, float] = {}
    poorest: list[str] = []
    for ranking in FLOORS:
        scores: dict[str, list[float]] = {kind: [] for kind in kinds}
        for one in asked:
            page = await search(site.admin, one.text, ranking=ranking, limit=CUT, facets="false")
            score = ndcg([item["repository"].removeprefix("library/") for item in page["items"]], one.grades)
            scores[one.kind].append(score)
            if score < 0.3:
                poorest.append(f"{ranking}: {one.text} {score:.2f}")
        every = [score for found in scores.values() for score in found]
        reached[ranking] = sum(every) / len(every)
        means = [sum(found) / len(found) for found in (*scores.values(), every)]
        lines.append(f"{ranking:10}" + "".join(f"{mean:9.3f}" for mean in means))
    with capsys.disabled():
        print("", *lines, sep="\n")
    for ranking, floor in FLOORS.items():
        assert reached[ranking] >= floor, (reached, poorest)
