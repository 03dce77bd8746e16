"""How statements with names become statements with numbers."""

from __future__ import annotations

import pytest

from gati_registry.metadata.postgresql.statements import compiled


@pytest.mark.parametrize(
    ("sql", "text", "names"),
    [
        ("SELECT 1", "SELECT 1", ()),
        ("SELECT :a, :b, :a", "SELECT $1, $2, $1", ("a", "b")),
        ("SELECT :a::text, CAST(:b_2 AS bigint)", "SELECT $1::text, CAST($2 AS bigint)", ("a", "b_2")),
        ("SELECT ':a', 'it''s :b', :c", "SELECT ':a', 'it''s :b', $1", ("c",)),
        ('SELECT ":a" FROM x WHERE y=:b', 'SELECT ":a" FROM x WHERE y=$1', ("b",)),
        ("SELECT :a -- not :b\n, :c", "SELECT $1 -- not :b\n, $2", ("a", "c")),
        ("SELECT /* :a\n:b */ :c", "SELECT /* :a\n:b */ $1", ("c",)),
        ("DO $$ :a $$; SELECT :b", "DO $$ :a $$; SELECT $1", ("b",)),
        ("DO $x$ :a $$ :b $x$", "DO $x$ :a $$ :b $x$", ()),
        ("SELECT x LIKE '%:a' AND y % :b = 0", "SELECT x LIKE '%:a' AND y % $1 = 0", ("b",)),
        ("SELECT x[1:2]", "SELECT x[1:2]", ()),
    ],
)
def test_names_become_numbers_where_they_are_parameters(sql: str, text: str, names: tuple[str, ...]) -> None:
    assert compiled(sql) == (text, names)
