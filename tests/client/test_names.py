"""Names in all their spellings."""

from __future__ import annotations

import pytest

from gati_client import Name, Usage

HEX = "0" * 64


@pytest.mark.parametrize(
    ("text", "registry", "repository", "version", "digest"),
    [
        ("@acme/x", None, "orgs/acme/x", None, None),
        ("org.acme.x", None, "orgs/acme/x", None, None),
        ("org.acme.x.y", None, "orgs/acme/x.y", None, None),
        ("gati.dev/orgs/acme/x", None, "orgs/acme/x", None, None),
        ("user.alice.x", None, "users/alice/x", None, None),
        ("gati.dev/users/alice/x", None, "users/alice/x", None, None),
        ("mlld://alice/x", None, "users/alice/x", None, None),
        ("@user/alice/x", None, "users/alice/x", None, None),
        ("a/b", None, "a/b", None, None),
        ("name", None, "library/name", None, None),
        ("lib.x", None, "library/x", None, None),
        ("pkg.x", None, "library/x", None, None),
        ("global/x", None, "library/x", None, None),
        ("hyper.x", None, "system/x", None, None),
        ("system.x", None, "system/x", None, None),
        ("local.x", None, "local/x", None, None),
        ("name@^1.2", None, "library/name", "^1.2", None),
        ("name@>=1.0 <2.0", None, "library/name", ">=1.0 <2.0", None),
        ("@acme/x@1.2.3", None, "orgs/acme/x", "1.2.3", None),
        ("@acme/x:latest", None, "orgs/acme/x", "latest", None),
        (f"name@sha256:{HEX}", None, "library/name", None, f"sha256:{HEX}"),
        ("localhost:5000/a/b:v1", "localhost:5000", "a/b", "v1", None),
        ("localhost/a", "localhost", "a", None, None),
        (f"host:5000/a/b:v1@sha256:{HEX}", "host:5000", "a/b", "v1", f"sha256:{HEX}"),
        ("[::1]:5000/a", "[::1]:5000", "a", None, None),
        ("registry.example/a/b@^1", "registry.example", "a/b", "^1", None),
        ("oci://registry/a:1", "registry", "a", "1", None),
    ],
)
def test_spellings(text: str, registry: str | None, repository: str, version: str | None, digest: str | None) -> None:
    name = Name.parse(text)
    assert name == Name(registry, repository, version, digest)
    if not repository.startswith("library/") or registry:
        assert Name.parse(str(name)) == name


def test_bare_names_belong_to_the_namespace() -> None:
    assert Name.parse("x", namespace="users/alice").repository == "users/alice/x"
    assert Name.parse("x", namespace="@acme").repository == "orgs/acme/x"
    assert Name.parse("lib.x", namespace="users/alice").repository == "library/x"
    assert Name.parse("x", default_registry="host:1").registry == "host:1"


def test_references() -> None:
    assert Name.parse("x").reference == "latest"
    assert Name.parse("x@1.0.0+build.5").reference == "1.0.0_build.5"
    assert Name.parse(f"x:v1@sha256:{HEX}").reference == f"sha256:{HEX}"
    with pytest.raises(Usage, match="no single version"):
        _ = Name.parse("x@^1").reference


@pytest.mark.parametrize(
    "text",
    ["", "@", "Name", "a//b", "a/../b", "../x", "x@", "x:", "x@sha256:123", "x\n", "x y", "/x", "x@1@2", "a:1@2", "é",
     "-x", "x" * 300, f"x@sha256:{HEX}@sha256:{HEX}", "oci://", "a\x1b[2J", "bad_host.x:99999999/a"],
)  # fmt: skip
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(Usage):
        Name.parse(text)
