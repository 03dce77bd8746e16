"""Settings of the section `[namespaces]`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gati_registry.extension import Model

Visibility = Literal["public", "internal", "private"]
Enforcement = Literal["off", "audit", "warn", "enforce"]

UNLIMITED = -1


def _limit(default: int, description: str, unit: str) -> int:
    found: int = Field(default, ge=UNLIMITED, description=f"{description}; -1: none.", json_schema_extra={"unit": unit})
    return found


class NamespacesSettings(Model):
    """Who owns which names, what they may hold, and who sees it."""

    users_visibility: Visibility = Field("public", description="Visibility of a user's namespace where nothing is set.")
    orgs_visibility: Visibility = Field(
        "private", description="Visibility of an organization's namespace where nothing is set."
    )
    org_member_role: Literal["publisher", "maintainer", "contributor", "reader"] = Field(
        "reader", description="Role that every member of an organization has in its namespace."
    )
    library_artifacts: int = _limit(1000, "Most repositories in `library`", "repositories")
    org_artifacts: int = _limit(5000, "Most repositories of an organization", "repositories")
    user_artifacts: int = _limit(100, "Most repositories of a user", "repositories")
    library_bytes: int = _limit(UNLIMITED, "Most bytes in `library`", "bytes")
    org_bytes: int = _limit(UNLIMITED, "Most bytes of an organization", "bytes")
    user_bytes: int = _limit(UNLIMITED, "Most bytes of a user", "bytes")
    bandwidth: int = _limit(UNLIMITED, "Bytes served from one owner's namespace in a calendar month (UTC)", "bytes")
    calls: int = _limit(UNLIMITED, "Requests about one owner's namespace in a calendar month (UTC)", "requests")
    recount_interval: float = Field(
        3600,
        ge=0,
        description="Time between two recounts of what namespaces hold; 0: never.",
        json_schema_extra={"unit": "seconds"},
    )
    rename_redirect: float = Field(
        90 * 86400,
        ge=0,
        description="How long a renamed repository is still pulled under its old name.",
        json_schema_extra={"unit": "seconds"},
    )
    confusable: Enforcement = Field(
        "enforce", description="What happens to a new account's name that looks like a well-known or verified one."
    )
    well_known: tuple[str, ...] = Field(
        ("amazon", "anthropic", "apache", "canonical", "cncf", "debian", "docker", "gati", "github", "gitlab",
         "google", "huggingface", "kubernetes", "meta", "microsoft", "mistral", "mozilla", "nginx", "nvidia", "openai",
         "oracle", "postgres", "python", "redhat", "redis", "sigstore", "ubuntu"),
        description="Names that new accounts must not resemble.",
    )  # fmt: skip
    resolver: str = Field(
        "", description="DNS server (`ADDRESS` or `ADDRESS:PORT`) that proofs are looked up with; empty: the machine's."
    )
    github_url: str = Field(
        "https://raw.githubusercontent.com", description="Where files of GitHub organizations are read from."
    )
