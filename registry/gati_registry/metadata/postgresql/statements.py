"""Statements with `:name` parameters, as PostgreSQL's protocol takes them: numbered."""

from __future__ import annotations

import re
from functools import lru_cache

_TOKEN = re.compile(
    r"""
    '(?:[^']|'')*'                  # a string
  | "(?:[^"]|"")*"                  # an identifier
  | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ # a dollar-quoted string
  | --[^\n]*                        # a comment
  | /\*.*?\*/                       # another
  | ::                              # a cast
  | :(?P<name>[A-Za-z_]\w*)         # a parameter
    """,
    re.VERBOSE | re.DOTALL,
)


@lru_cache(maxsize=2048)
def compiled(sql: str) -> tuple[str, tuple[str, ...]]:
    """The statement with `$1`, `$2`, … for its parameters, and their names in that order.

    A name that occurs twice is one parameter, so both places must be of one type.
    """
    names: dict[str, int] = {}

    def number(token: re.Match[str]) -> str:
        name = token["name"]
        if name is None:
            return token[0]
        return f"${names.setdefault(name, len(names) + 1)}"

    return _TOKEN.sub(number, sql), tuple(names)
