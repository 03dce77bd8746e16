"""Texts as words, the same way for what is stored and for what is asked: so every index finds the same.

Words are folded: compatibility forms, lower case, without accents, an English plural's `s` taken off. Chinese, Japanese
and Korean have no spaces; there every two neighbouring characters are a word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

MAX_WORD = 64
"""Characters of a word that count."""

_WORD = re.compile(r"[^\W_]+")
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]+")


def words(text: str) -> list[str]:
    """The words of a text, folded, in their order."""
    return [word for word, _, _ in spans(text)]


def spans(text: str) -> Iterator[tuple[str, int, int]]:
    """(folded word, start, end) for each word, by characters of the text as it is.

    Two neighbouring characters of a text without spaces are a word of two characters.
    """
    for found in _WORD.finditer(text):
        raw, start = found[0], found.start()
        if raw.isascii() or not _UNSPACED.search(raw):
            if folded_word := folded(raw):
                yield folded_word, start, found.end()
            continue
        position = 0
        while position < len(raw):
            run = _UNSPACED.match(raw, position)
            if run is None:
                following = _UNSPACED.search(raw, position)
                end = following.start() if following else len(raw)
                if folded_word := folded(raw[position:end]):
                    yield folded_word, start + position, start + end
                position = end
                continue
            for at in range(run.start(), max(run.end() - 1, run.start() + 1)):
                yield raw[at : min(at + 2, run.end())], start + at, start + min(at + 2, run.end())
            position = run.end()


@lru_cache(maxsize=65536)
def folded(word: str) -> str:
    """A word's one form."""
    if not word.isascii():
        decomposed = unicodedata.normalize("NFKD", word)
        word = unicodedata.normalize("NFC", "".join(c for c in decomposed if not unicodedata.combining(c)))
        word = "".join(_WORD.findall(word))
    return singular(word.casefold()[:MAX_WORD])


def singular(word: str) -> str:
    """An English plural as its singular, roughly: `models` and `model` are one word, so are `queries` and `query`."""
    if len(word) < 4 or not word.isascii() or word[-1] != "s" or word[-2:] in ("ss", "us", "is"):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes", "zes")):
        return word[:-2]
    return word[:-1]
