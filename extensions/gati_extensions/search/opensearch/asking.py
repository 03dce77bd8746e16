"""A query's tree as OpenSearch is asked."""

from __future__ import annotations

from typing import Any

from gati_extensions.search.expression import (
    And,
    Compare,
    Everything,
    Has,
    Node,
    Not,
    Or,
    Phrase,
    Versions,
    Word,
)
from gati_extensions.search.opensearch.mapping import LONGEST_PREFIX, own_number
from gati_extensions.search.ports import Query, Reach

Asked = dict[str, Any]

WEIGHTS = {"name": 6.0, "title": 6.0, "keywords": 4.0, "description": 2.0, "more": 2.0, "readme": 0.7}
"""What a word counts for, by where it stands."""

CALLED = 100.0
"""What it counts for to be called exactly as was asked: more than all words."""

FIRST = 1000.0
"""What it counts for to be among the best known, where those come first: more than all else."""

_BEGINNINGS = ("name", "title", "keywords", "description")
_OPERATORS = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}

_ORDERS: dict[str, list[Asked]] = {
    "relevance": [{"_score": "desc"}, {"repository": "asc"}],
    "name": [{"repository": "asc"}],
}


def asked(query: Query, least: int = 0, *, alone: bool = False) -> Asked:
    """What a query is looked for by. Scores count only where it is sorted by relevance: then artifacts that are at
    least so well known come before all others, or come `alone` (with those that are called exactly so)."""
    filters = reached(query.reach)
    found: Asked = {"bool": {"must": [_node(query.expression)], "filter": filters}}
    if query.sort == "relevance":
        # The well-known before the unknown, where both are about as good.
        popular: Asked = {"rank_feature": {"field": "popularity", "log": {"scaling_factor": 1}, "boost": 0.3}}
        called = [{"term": {"called": query.whole}}] if query.whole else []
        found["bool"]["should"] = [popular, *(_worth(one, CALLED + 2 * FIRST * bool(least)) for one in called)]
        if least:
            best: Asked = {"range": {"known": {"gte": least}}}
            found["bool"]["should"].append(_worth(best, FIRST))
            if alone:
                filters.append(_any([best, *called]))
    return found


def order(sort: str) -> list[Asked]:
    """The order of hits: equal ones go by their names."""
    return _ORDERS.get(sort) or [{sort: "desc"}, {"repository": "asc"}]


def reached(reach: Reach | None) -> list[Asked]:
    """Narrowed to where all lies that a caller may possibly see."""
    if reach is None:
        return []
    return [_any([{"terms": {"level": list(reach.levels)}}, {"terms": {"within": list(reach.paths)}}])]


def beginning(texts: list[str], reach: Reach | None) -> Asked:
    """Artifacts in whose name or title a word begins with the last of the texts, after the others."""
    *whole, last = texts
    each = [_any([{"term": {field: text}} for field in ("name", "title")]) for text in whole]
    start = _any([{"term": {f"{field}.prefix": last[:LONGEST_PREFIX]}} for field in ("name", "title")])
    return {"bool": {"filter": [*each, start, *reached(reach)]}}


def _node(node: Node) -> Asked:
    if isinstance(node, And):
        return {"bool": {"must": [_node(part) for part in node.parts]}}
    if isinstance(node, Or):
        return _any([_node(part) for part in node.parts])
    if isinstance(node, Not):
        return {"bool": {"must_not": [_node(node.part)]}}
    if isinstance(node, Everything):
        return _filter({"match_all": {}})
    if isinstance(node, Word):
        return _word(node)
    if isinstance(node, Phrase):
        text = " ".join(node.words)
        return _best([{"match_phrase": {f: {"query": text, "boost": w}}} for f, w in WEIGHTS.items()])
    if isinstance(node, Has):
        return _filter({"term": {"has": f"{node.field}={node.value}"}})
    if isinstance(node, Compare):
        return _filter(_compare(node))
    if isinstance(node, Versions):
        return _filter(_any([{"range": {"version_key": {"gte": low, "lt": high}}} for low, high in node.spans]))
    key = node.key
    spans = [{"range": {"gati.low": {"lte": key}}}, {"range": {"gati.high": {"gt": key}}}]
    return _filter({"nested": {"path": "gati", "query": {"bool": {"filter": spans}}}})


def _word(node: Word) -> Asked:
    found: list[Asked] = [{"term": {f: {"value": node.text, "boost": w}}} for f, w in WEIGHTS.items()]
    if node.prefix:
        text = node.text[:LONGEST_PREFIX]
        found += [{"term": {f"{f}.prefix": {"value": text, "boost": WEIGHTS[f] / 2}}} for f in _BEGINNINGS]
        # Long texts have no index of beginnings: it would be larger than all else.
        found += [{"prefix": {f: {"value": node.text, "boost": WEIGHTS[f] / 2}}} for f in ("more", "readme")]
    return _best(found)


def _compare(node: Compare) -> Asked:
    def bounds(field: str) -> Asked:
        if node.operator == "=":
            return {"term": {field: node.number}}
        return {"range": {field: {_OPERATORS[node.operator]: node.number}}}

    if own_number(node.field):
        return bounds(node.field)
    inner = [{"term": {"numbers.field": node.field}}, bounds("numbers.value")]
    return {"nested": {"path": "numbers", "query": {"bool": {"filter": inner}}}}


def _any(parts: list[Asked]) -> Asked:
    return {"bool": {"should": parts, "minimum_should_match": 1}} if parts else {"match_none": {}}


def _best(parts: list[Asked]) -> Asked:
    """The best place where a word stands counts, and the others a little."""
    return {"dis_max": {"queries": parts, "tie_breaker": 0.2}}


def _worth(part: Asked, score: float) -> Asked:
    return {"constant_score": {"filter": part, "boost": score}}


def _filter(part: Asked) -> Asked:
    """Found or not; it says nothing of how well."""
    return {"bool": {"filter": [part]}}
