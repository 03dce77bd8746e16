"""What a word could be a misspelling of."""

from __future__ import annotations

from collections.abc import Sequence

LOOKED = 400
"""Words of one beginning and length that are compared, the most frequent ones."""


def allowed(word: str) -> int:
    """Edits that are forgiven: none in short words, one in longer ones, two in long ones."""
    return 0 if len(word) < 4 else 1 if len(word) < 8 else 2


def nearest(word: str, candidates: Sequence[str], limit: int) -> list[str]:
    """Candidates within the edits that are forgiven, the nearest first, in their order among equals."""
    most, letters = allowed(word), set(word)
    found = []
    for place, candidate in enumerate(dict.fromkeys(candidates)):
        if len(letters.symmetric_difference(candidate)) > 2 * most:
            continue  # an edit changes two letters at most: most of them need no closer look
        edits = distance(word, candidate, most)
        if edits is not None and candidate != word:
            found.append((edits, candidate[0] != word[0], place, candidate))
    return [candidate for _, _, _, candidate in sorted(found)[:limit]]


def distance(one: str, other: str, most: int) -> int | None:
    """Insertions, deletions, replacements and exchanges of neighbours between two words; None if more than `most`."""
    if abs(len(one) - len(other)) > most:
        return None
    before: list[int] = []
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, 1):
        earlier, before, row = before, row, [number]
        for place, wanted in enumerate(other, 1):
            cost = min(before[place] + 1, row[place - 1] + 1, before[place - 1] + (letter != wanted))
            if number > 1 and place > 1 and letter == other[place - 2] and one[number - 2] == wanted:
                cost = min(cost, earlier[place - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return None
    return row[-1] if row[-1] <= most else None
