"""What groups elsewhere mean here.

| written | means |
|---|---|
| `acme` | member of the organization |
| `acme:owner` | owner of the organization |
| `acme/developers` | member of the team, and of its organization |
| `@admin` | administrator of the server |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gati_extensions.identity.names import checked_new

ADMIN = "@admin"
OWNER = "owner"


def checked_target(text: str) -> str:
    """What a group means.

    Raises:
        ValueError: it is malformed.
    """
    if text == ADMIN:
        return text
    org, team, _ = split(text)
    try:
        checked_new(org)
        if "/" in text:
            checked_new(team)
    except ValueError:
        raise ValueError(
            f"{text[:80]!r} must be an organization, organization:owner, organization/team or {ADMIN}"
        ) from (None)
    return text


def targets(mapping: Mapping[str, str], groups: Iterable[str]) -> frozenset[str]:
    """What somebody in these groups is to have."""
    found = {mapping[group] for group in groups if group in mapping}
    found |= {split(target)[0] for target in found if "/" in target}
    return frozenset(target for target in found if f"{target}:owner" not in found)


def split(target: str) -> tuple[str, str, bool]:
    """Organization, team, and whether it is about an owner."""
    org, slash, team = target.partition("/")
    name, colon, role = (org, "", "") if slash else target.partition(":")
    return name if not colon or role == OWNER else "", team, role == OWNER
