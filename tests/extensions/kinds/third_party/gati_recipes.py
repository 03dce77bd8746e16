"""A third party's kind of artifact: one file."""

from __future__ import annotations

from gati_extensions.kinds.api import Facts, Kind, Manifest, facts


class Recipe(Manifest):
    """What is cooked."""

    servings: int


def _describe(found: Recipe) -> Facts:
    return facts(found, type="food", numbers={"servings": float(found.servings)})


KIND = Kind.own("recipe", "Something to cook.", Recipe, _describe)
