"""A text as the numbers of its pieces, the way BERT's uncased models were trained on.

Source: "BERT: Pre-training of Deep Bidirectional Transformers", section 3, and its reference tokenizer.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

LONGEST_WORD = 100
"""Characters; a longer word is one unknown piece."""


class Tokenizer:
    """Pieces of words by a vocabulary, the longest first."""

    def __init__(self, vocabulary: Mapping[str, int]) -> None:
        self._vocabulary = vocabulary
        self._unknown = vocabulary["[UNK]"]
        self._begin, self._end = vocabulary["[CLS]"], vocabulary["[SEP]"]
        self._pieces = lru_cache(maxsize=20_000)(self._cut)

    @classmethod
    def read(cls, file: Path) -> Tokenizer:
        """Of a vocabulary with a piece on each line."""
        lines = file.read_text(encoding="utf-8").splitlines()
        return cls({piece: number for number, piece in enumerate(lines)})

    def __call__(self, text: str, most: int) -> list[int]:
        """The numbers, at most `most` of them, with those of the beginning and the end."""
        found = [self._begin]
        for word in _words(text):
            found += self._pieces(word)
            if len(found) >= most - 1:
                break
        return [*found[: most - 1], self._end]

    def _cut(self, word: str) -> tuple[int, ...]:
        if len(word) > LONGEST_WORD:
            return (self._unknown,)
        pieces: list[int] = []
        start = 0
        while start < len(word):
            mark = "##" if start else ""
            for end in range(len(word), start, -1):
                number = self._vocabulary.get(mark + word[start:end])
                if number is not None:
                    pieces.append(number)
                    start = end
                    break
            else:
                return (self._unknown,)
        return tuple(pieces)


def _words(text: str) -> Iterator[str]:
    """Words, signs and ideographs one by one, in lower case and without accents."""
    plain = "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")
    word: list[str] = []
    for character in plain:
        alone = _is_sign(character) or _is_ideograph(character)
        if alone or not _belongs(character):
            if word:
                yield "".join(word)
                word.clear()
            if alone:
                yield character
        elif not unicodedata.category(character).startswith("C"):
            word.append(character)
    if word:
        yield "".join(word)


def _belongs(character: str) -> bool:
    return not character.isspace() and unicodedata.category(character) != "Zs"


def _is_sign(character: str) -> bool:
    """Punctuation; all of ASCII that is neither letter nor digit counts as such."""
    ascii_sign = "!" <= character <= "~" and not character.isalnum()
    return ascii_sign or unicodedata.category(character).startswith("P")


def _is_ideograph(character: str) -> bool:
    code = ord(character)
    return (
        0x4E00 <= code <= 0x9FFF or 0x3400 <= code <= 0x4DBF or 0xF900 <= code <= 0xFAFF or 0x20000 <= code <= 0x2FA1F
    )
