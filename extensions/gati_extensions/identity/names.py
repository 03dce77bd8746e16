"""What accounts may be called.

user, org   `alice`, `acme`
robot       `acme+ci`: its owner's name and its own
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
SHORTEST, LONGEST = 2, 39

# Words that stand for something else in names, paths or logs, or that would pass for the registry itself.
RESERVED = frozenset(
    """
    access account accounts admin administrator anonymous api audit auth billing blobs catalog channels docs
    everyone ext gati gati-dev global help home hyper identity invite keys kinds lib library livez local login
    logout lock manifests me members metrics moderator namespaces nobody none null oci official org organization
    organizations orgs owner pkg policies proxy public readyz referrers registry resolve robot robots root search
    security self settings signup sessions staff status support sys system tags teams token undefined uploads user
    users v1 v2 verified webhooks www
    """.split()  # noqa: SIM905 - ninety words read better so
)


def _checked(name: str) -> str:
    if not SHORTEST <= len(name) <= LONGEST or not _NAME.fullmatch(name):
        raise ValueError(
            f"must be {SHORTEST} to {LONGEST} lower-case letters and digits, with single '-' between; choose another"
        )
    return name


def _free(name: str) -> str:
    if name in RESERVED:
        raise ValueError("is a reserved word; choose another")
    return name


Name = Annotated[str, Field(max_length=200), AfterValidator(_checked)]
"""The form of a name."""

NewName = Annotated[Name, AfterValidator(_free)]
"""A name for a new user or organization."""


def checked_new(name: str) -> str:
    """A name for a new user or organization.

    Raises:
        ValueError: it is malformed or reserved.
    """
    return _free(_checked(name))
