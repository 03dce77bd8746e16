"""The words that an index has, each with how many artifacts have it: what misspellings are mended to, what unfinished
words may become, and how many hits a search is likely to have. READMEs and further texts do not count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gati_extensions.search import spelling
from gati_registry.extension import Transaction


async def count(tx: Transaction, slot: int, words: Mapping[str, int]) -> None:
    """How many artifacts have these words changes by so much."""
    table = f"search_index_word{slot}"
    for word, by in sorted(words.items()):
        if by > 0:
            await tx.send(
                f"INSERT INTO {table} (word, initial, length, number) VALUES (:word, :initial, :length, :by)"
                f" ON CONFLICT (word) DO UPDATE SET number = {table}.number + :by",
                word=word, initial=word[0], length=len(word), by=by,
            )  # fmt: skip
        elif by < 0:
            await tx.send(f"UPDATE {table} SET number = number + :by WHERE word = :word", word=word, by=by)
            await tx.send(f"DELETE FROM {table} WHERE word = :word AND number <= 0", word=word)


async def numbers(tx: Transaction, slot: int, texts: Sequence[str]) -> Mapping[str, int]:
    """How many artifacts have each word, but for their READMEs."""
    if not texts:
        return {}
    names = {f"w{number}": text for number, text in enumerate(texts)}
    among = ", ".join(f":{name}" for name in names)
    rows = await tx.all(f"SELECT word, number FROM search_index_word{slot} WHERE word IN ({among})", **names)
    return dict.fromkeys(texts, 0) | {row[0]: int(row[1]) for row in rows}


async def by_shape(tx: Transaction, slot: int, word: str, limit: int) -> list[str]:
    """Words with the same beginning (or that of the second letter, where the first two were exchanged), of about the
    same length; the most frequent ones of each."""
    most, found = spelling.allowed(word), []
    if not most:
        return []
    for initial in dict.fromkeys(word[:2]):
        for length in range(len(word) - most, len(word) + most + 1):
            rows = await tx.all(
                f"SELECT word FROM search_index_word{slot} WHERE initial = :initial AND length = :length"
                " ORDER BY number DESC LIMIT :limit",
                initial=initial, length=length, limit=limit,
            )  # fmt: skip
            found += [row[0] for row in rows]
    return found
