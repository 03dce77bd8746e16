"""Conditional requests. An entity tag is the digest in quotes, so it is strong by nature (RFC 9110 section 13)."""

from __future__ import annotations

from gati_registry.http.exchange import Exchange
from gati_registry.values.digest import Digest


def not_modified(exchange: Exchange, digest: Digest) -> bool:
    """Whether `If-None-Match` says that the client has this content already."""
    header = exchange.header(b"if-none-match")
    if header is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in header.split(",")}
    return "*" in tags or f'"{digest}"' in tags or digest in tags


def range_applies(exchange: Exchange, digest: Digest) -> bool:
    """Whether `If-Range` lets the `Range` stand."""
    header = exchange.header(b"if-range")
    return header is None or header.strip() == f'"{digest}"'
