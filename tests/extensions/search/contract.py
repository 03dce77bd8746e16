"""What every `SearchIndex` does, whatever holds it. A module that has the fixture `index` imports these tests.

`index` is an index that serves and is empty.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from gati_extensions.search import expression, language
from gati_extensions.search.ports import Document, Query, Reach, SearchIndex
from gati_registry.domain.access import Visible

pytestmark = pytest.mark.anyio

DAY = 86_400_000
NOW = 1_600_000_000_000
"""2020-09-13."""


def made(name: str, **more: Any) -> Document:
    """A document with what is needed."""
    words = {"kind": (more.get("kind", "module"),), "namespace": (name.rpartition("/")[0],), "name": (name,)}
    fields: dict[str, Any] = {
        "kind": "module", "version": "1.0.0", "digest": f"sha256:{abs(hash(name)):064x}", "level": "public",
        "created_at": NOW, "updated_at": NOW,
    } | more  # fmt: skip
    return Document(name, **{**fields, "words": {**words, **more.get("words", {})}})


def only(*paths: str) -> Visible:
    """Sees these names."""
    values = {f"visible_{number}": path for number, path in enumerate(paths)}
    return Visible(f"{{column}} IN ({', '.join(f':{name}' for name in values)})", tuple(values.items()))


async def found(index: SearchIndex, q: str = "", **more: Any) -> list[str]:
    """The names of a page."""
    page = await index.search(Query(language.parse(q), whole=language.whole_of(q), **more))
    return [hit.document.name for hit in page.hits]


SPEECH = made("orgs/a/speech", title="Speech to text", description="Turns spoken words into written ones.",
              keywords=("audio", "asr"), license="MIT", stars=3, downloads=10, kind="model",
              words={"kind": ("model",), "license": ("mit",), "capability": ("ai", "ai:asr")},
              numbers={"context_length": 16384.0}, version_key="01101201.~ ",
              gati_spans=(("01201001001.", "01301001001."),), created_at=NOW - 400 * DAY, updated_at=NOW - 2 * DAY,
)  # fmt: skip
TEXT = made("orgs/a/text", title="Text tools", description="Speech is not what this is about; text is.",
            keywords=("strings",), license="Apache-2.0", stars=50, downloads=2, words={"license": ("apache-2.0",)},
            numbers={"context_length": 4096.0}, created_at=NOW - 30 * DAY, updated_at=NOW - 30 * DAY)  # fmt: skip
QUEUE = made("users/b/queue", title="Queues für alle", description="Eine Warteschlange; Müller's own.",
             readme="It speaks of speech once.", license="MIT",
              words={"license": ("mit",), "capability": ("queue",)})  # fmt: skip
CJK = made("users/b/fanyi", description="机器翻译模型, 日本語のテキスト")
ALL = [SPEECH, TEXT, QUEUE, CJK]


async def test_words_rank_by_their_fields(index: SearchIndex) -> None:
    await index.put(ALL, [])
    assert await found(index, "speech") == ["orgs/a/speech", "orgs/a/text", "users/b/queue"]
    assert (await found(index, "text"))[0] == "orgs/a/text"
    assert await found(index, "SPEECHES audio") == ["orgs/a/speech"]
    assert await found(index, "muller fur") == ["users/b/queue"]
    assert await found(index, "翻译") == ["users/b/fanyi"]
    assert await found(index, "nothing") == []


async def test_phrases_prefixes_and_what_is_not_wanted(index: SearchIndex) -> None:
    await index.put(ALL, [])
    assert await found(index, '"speech to text"') == ["orgs/a/speech"]
    assert await found(index, '"text to speech"') == []
    assert set(await found(index, "spee")) == {"orgs/a/speech", "orgs/a/text", "users/b/queue"}
    assert await found(index, "spee ") == []
    assert await found(index, "speech -audio -once") == ["orgs/a/text"]
    assert set(await found(index, "audio OR warteschlange")) == {"orgs/a/speech", "users/b/queue"}
    assert set(await found(index, "-speech")) == {"users/b/fanyi"}
    assert set(await found(index, "(audio | strings) -kind:model")) == {"orgs/a/text"}


async def test_filters(index: SearchIndex) -> None:
    await index.put(ALL, [])
    for q, names in {
        "kind:model": {"orgs/a/speech"},
        "kind:model,module license:mit": {"orgs/a/speech", "users/b/queue"},
        "ns:orgs/a": {"orgs/a/speech", "orgs/a/text"},
        "capability:ai": {"orgs/a/speech"},
        "context:>8000": {"orgs/a/speech"},
        "contextLength:4000..5000": {"orgs/a/text"},
        "context:>=4096 -context:>4096": {"orgs/a/text"},
        "stars:>3": {"orgs/a/text"},
        "downloads:<=2 license:apache-2.0": {"orgs/a/text"},
        "context:>8000 OR queue": {"orgs/a/speech", "users/b/queue"},
        "-(context:>8000 OR queue OR fanyi)": {"orgs/a/text"},
        "stars:0": {"users/b/queue", "users/b/fanyi"},
    }.items():
        assert set(await found(index, q)) == names, q


async def test_versions_and_gati(index: SearchIndex) -> None:
    from gati_extensions.kinds.api import parse_range, parse_version
    from gati_extensions.search.ranges import key_of, spans

    def released(name: str, version: str, gati: str) -> Document:
        parsed = parse_version(version)
        assert parsed is not None
        return made(name, version=version, version_key=key_of(parsed), gati_spans=spans(parse_range(gati)),
                    words={"state": ("published", "prerelease") if parsed.prerelease else ("published",)})  # fmt: skip

    await index.put([released("x/one", "1.2.3", "^2.0"), released("x/two", "2.0.0", ">=1 <2 || ^3.1"),
                     released("x/pre", "1.3.0-rc.1", "*")], [])  # fmt: skip
    for q, names in {
        "version:^1.2": {"x/one"}, "version:>=1.2.3": {"x/one", "x/two"}, 'version:">1.2.3 <3"': {"x/two"},
        "version:1.2.3": {"x/one"}, "version:>=1.3.0-rc.0": {"x/two", "x/pre"}, "version:0.x||^2": {"x/two"},
        "gati:2.5.0": {"x/one", "x/pre"}, "gati:1.9": {"x/two", "x/pre"}, "gati:3.1.0": {"x/two", "x/pre"},
    }.items():  # fmt: skip
        assert set(await found(index, q)) == names, q


async def test_dates(index: SearchIndex) -> None:
    await index.put(ALL, [])
    assert set(await found(index, "created:<2020-01-01")) == {"orgs/a/speech"}
    assert set(await found(index, "created:2020-08..2020-08-31")) == {"orgs/a/text"}
    assert "orgs/a/text" not in await found(index, "updated:>=2020-09-01")


@pytest.mark.parametrize("sort", ["relevance", "downloads", "stars", "updated", "created", "name"])
async def test_pages_follow_each_other(index: SearchIndex, sort: str) -> None:
    many = [
        made(f"p/{number:03d}", description="page", stars=number % 7, downloads=number % 5, updated_at=NOW + number % 3,
             created_at=NOW - number)
        for number in range(57)
    ]  # fmt: skip
    await index.put(many, [])
    seen: list[str] = []
    after = None
    while True:
        page = await index.search(Query(language.parse("page "), sort=sort, limit=10, after=after))
        assert (page.total, page.exact) == (57, True)
        seen += [hit.document.name for hit in page.hits]
        if not page.more:
            break
        after = page.hits[-1].key
    assert sorted(seen) == sorted(document.name for document in many)
    orders = {
        "downloads": lambda d: (-d.downloads, d.name), "stars": lambda d: (-d.stars, d.name),
        "updated": lambda d: (-d.updated_at, d.name), "created": lambda d: (-d.created_at, d.name),
        "name": lambda d: d.name,
    }  # fmt: skip
    if sort != "relevance":
        assert seen == [document.name for document in sorted(many, key=orders[sort])]


async def test_facets_and_total_count_what_is_visible(index: SearchIndex) -> None:
    await index.put(ALL, [])
    page = await index.search(Query(language.parse("speech")))
    assert page.facets["kind"] == {"module": 2, "model": 1}
    assert page.facets["license"] == {"mit": 2, "apache-2.0": 1}
    page = await index.search(Query(language.parse("speech"), visible=only("orgs/a/text")))
    assert (page.total, page.facets["kind"], page.facets["capability"]) == (1, {"module": 1}, {})
    assert [hit.document.name for hit in page.hits] == ["orgs/a/text"]
    assert await found(index, "queue", visible=only("orgs/a/text")) == []


async def test_the_reach_narrows_and_decides_nothing(index: SearchIndex) -> None:
    many = [made(f"private/{number}", description="word", level="private") for number in range(300)]
    await index.put(
        [*many, made("open/one", description="word"), made("mine/x", description="word", level="private")], []
    )
    everything = Visible("{column} IN ('open/one', 'mine/x')")
    small = {"visible": everything, "ranked": 10}
    reach = Reach(("public",), ("mine",))
    assert set(await found(index, "word", reach=reach, **small)) == {"open/one", "mine/x"}
    assert set(await found(index, "word", reach=Reach((), ("mine/x",)), **small)) == {"mine/x"}
    assert await found(index, "word", reach=Reach((), ()), **small) == []
    page = await index.search(Query(language.parse("word"), ranked=10))
    assert (page.total, page.exact) == (10, False)


async def test_filters_among_very_many(index: SearchIndex) -> None:
    """More have the word than are ranked."""
    rare = {"kind": ("agent",), "license": ("mit",), "capability": (*(f"c{n}" for n in range(40)), "two\nlines\x1e x")}
    many = [
        made(f"y/{number:03}", description="word", stars=100,
             words={"kind": ("module" if number % 2 else "plugin",), "license": ("gpl-3.0",), "capability": ("c",)})
        for number in range(120)
    ]  # fmt: skip
    await index.put([*many, made("x/rare", description="word", kind="agent", words=rare)], [])
    small: dict[str, Any] = {"ranked": 10, "limit": 10}
    for q in (
        *("kind:agent", "license:mit", "capability:c39", 'capability:"two\nlines\x1e x"', "-license:gpl-3.0"),
        *("kind:agent,image -kind:image", "(kind:agent OR license:mit)", "kind:agent ns:x", "kind:agent stars:<9"),
    ):
        assert await found(index, f"{q} word", **small) == ["x/rare"], q
        assert await found(index, f"{q} wor", **small) == ["x/rare"], q
    assert await found(index, "word kind:agent license:gpl-3.0", **small) == []
    assert await found(index, "word capability:c1 -capability:c39", **small) == []
    page = await index.search(Query(language.parse("word kind:plugin"), **small))
    assert (len(page.hits), page.exact, set(page.facets["kind"])) == (10, False, {"plugin"})


async def test_an_unfinished_word_of_very_many(index: SearchIndex) -> None:
    """It stands for itself and the most frequent that begin so."""
    await index.put([made(f"y/{n:03}", description="wordy") for n in range(60)], [])
    await index.put([made(f"x/{n:02}", title=f"word{n:02}", stars=9) for n in range(20)], [])
    await index.put([made("z/word", description="word")], [])
    names = set()
    for name in ("word", "wordy"):
        names |= set(await found(index, name, ranked=10, limit=100))
    assert "z/word" in names
    assert any(one.startswith("y/") for one in names)
    assert await found(index, "word03", ranked=10) == ["x/03"]


async def test_some_of_the_words_the_rarest_first(index: SearchIndex) -> None:
    await index.put([made(f"y/{n:03}", description="of the many") for n in range(30)], [])
    both_ = made("x/both", description="queue of messages")
    await index.put([both_, made("x/1", description="queue"), made("x/2", description="messages")], [])
    node = expression.loosened(language.parse("messages queue the"))
    assert node is not None
    page = await index.search(Query(node, loose=True, ranked=10))
    assert page.hits[0].document.name == "x/both"
    assert {"x/1", "x/2"} <= {hit.document.name for hit in page.hits}


async def test_exactly_the_name_comes_first_however_many_there_are(index: SearchIndex) -> None:
    await index.put([made("x/common", description="old")], [])
    await index.put([made(f"y/common-{number}", description="common", stars=100) for number in range(40)], [])
    page = await index.search(Query(language.parse("common"), whole="common", ranked=10))
    assert page.hits[0].document.name == "x/common"


async def test_what_is_put_again_is_there_once(index: SearchIndex) -> None:
    await index.put(ALL, [])
    newer = dataclasses.replace(SPEECH, description="Changed entirely.", downloads=100_000, digest="sha256:" + "1" * 64)
    await index.put([newer, newer], ["users/b/fanyi", "never/there"])
    await index.put([newer], [])
    assert await found(index, "spoken") == []
    assert await found(index, "changed") == ["orgs/a/speech"]
    assert len(await found(index, "")) == 3
    await index.put([], [document.name for document in ALL])
    assert await found(index, "") == []


async def test_misspellings_and_suggestions(index: SearchIndex) -> None:
    await index.put([made("x/transformer", title="A transformer"), made("x/transmission"), made("x/zebra")], [])
    assert list(await index.near("transformer", 3)) == ["transformer"]
    for wrong in ("transfromer", "tranformer", "transformerr", "rtansformer", "transvormer"):
        assert "transformer" in await index.near(wrong, 3), wrong
    assert list(await index.near("xyzzyplugh", 3)) == []
    names = [one.name for one in await index.suggest("trans", 10, Visible(), None)]
    assert sorted(names) == ["x/transformer", "x/transmission"]
    assert [one.name for one in await index.suggest("tr", 1, only("x/transmission"), None)] == ["x/transmission"]
    assert list(await index.suggest("trans", 10, only("x/zebra"), None)) == []


async def test_one_is_built_while_another_serves(index: SearchIndex) -> None:
    await index.put(ALL, [])
    await index.begin()
    await index.put([SPEECH, TEXT], [], building=True)
    assert len(await found(index, "")) == 4
    newer = dataclasses.replace(TEXT, description="Newer than what is being read.")
    await index.put([newer], ["users/b/queue"])  # a change meanwhile goes into both
    await index.put([TEXT, CJK], [], building=True)
    assert await found(index, "newer") == ["orgs/a/text"]
    await index.switch()
    assert await found(index, "newer") == ["orgs/a/text"]
    assert set(await found(index, "")) == {"orgs/a/speech", "orgs/a/text", "users/b/fanyi"}
    # Stopped on the way: what was half-built is thrown away.
    await index.begin()
    await index.put([QUEUE], [], building=True)
    await index.begin()
    await index.switch()
    assert await found(index, "") == []
    assert await index.built()


async def test_odd_words_are_only_words(index: SearchIndex) -> None:
    odd = made("x/odd", description="c++ 'quotes' \"double\" back\\slash & | ! <-> :* () NEAR AND $1 %s {x}")
    await index.put([odd], [])
    for q in ("c++", "quotes'", "back\\slash", "near", "{x}", "&", "'", ":*", "!quotes", "a&b", "<->"):
        await found(index, q)
    assert await found(index, "quotes double") == ["x/odd"]
    assert await found(index, "field\\':x'") == []
