"""cosign 2 and 3 sign, attest and verify with key pairs, offline: no log, no certificate authority."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.clients import images
from tests.clients.client import Client
from tests.clients.conftest import ADMIN_PASSWORD
from tests.clients.programs import require
from tests.clients.registry import Registry

pytestmark = pytest.mark.client

HTTP = "--allow-http-registry"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
# Version 3 can still write the layout of version 2.
OLD_LAYOUT = ("--use-signing-config=false", "--tlog-upload=false", "--new-bundle-format=false")


def _cosign(name: str, home: Path) -> Client:
    """A cosign with two key pairs in its home folder: `good.key`, `good.pub`, `bad.key`, `bad.pub`."""
    cosign = Client(require(name), home, env={"COSIGN_PASSWORD": ""})
    for pair in ("good", "bad"):
        cosign("generate-key-pair", "--output-key-prefix", pair)
    return cosign


def _verify(cosign: Client, reference: str, *, key: str = "good.pub") -> None:
    """Verify with a key; what cosign prints must name the digest that was signed."""
    out = cosign("verify", HTTP, "--key", key, "--insecure-ignore-tlog", reference)
    assert reference.partition("@")[2] in out


def _fails_to_verify(cosign: Client, reference: str, *, key: str) -> str:
    return cosign.fails("verify", HTTP, "--key", key, "--insecure-ignore-tlog", reference)


@pytest.mark.backends
def test_version_2_signs(home: Path, registry: Registry, repository: str) -> None:
    """Version 2 keeps a signature under the tag `sha256-<hex>.sig`; another key does not verify."""
    cosign = _cosign("cosign-2", home)
    digest = images.push(registry, repository, "v1", images.image({"a": b"signed"}))
    reference = f"{registry.host}/{repository}@{digest}"
    _fails_to_verify(cosign, reference, key="good.pub")  # not signed yet
    cosign("sign", HTTP, "--key", "good.key", "--yes", "--tlog-upload=false", reference)

    tag = f"{digest.replace(':', '-')}.sig"
    assert registry.tags(repository) == [tag, "v1"]
    layer = registry.manifest(repository, tag).json["layers"][0]
    assert layer["mediaType"] == SIMPLE_SIGNING
    signed = json.loads(registry.blob(repository, layer["digest"]))
    assert signed["critical"]["image"]["docker-manifest-digest"] == digest

    _verify(cosign, reference)
    assert "no matching signatures" in _fails_to_verify(cosign, reference, key="bad.pub")
    assert f"{registry.host}/{repository}:{tag}" in cosign("triangulate", HTTP, reference)


def test_version_2_signs_as_referrer(home: Path, registry: Registry, repository: str) -> None:
    """Version 2 in its OCI 1.1 mode: the signature is a referrer, and no tag is written."""
    cosign = replace(_cosign("cosign-2", home), env={"COSIGN_PASSWORD": "", "COSIGN_EXPERIMENTAL": "1"})
    digest = images.push(registry, repository, "v1", images.image({"a": b"signed 1.1"}))
    reference = f"{registry.host}/{repository}@{digest}"
    mode = "--registry-referrers-mode=oci-1-1"
    cosign("sign", HTTP, "--key", "good.key", "--yes", "--tlog-upload=false", mode, reference)
    assert registry.tags(repository) == ["v1"]
    assert len(registry.referrers(repository, digest)) == 1
    verify = ("verify", HTTP, "--insecure-ignore-tlog", "--experimental-oci11", "--key")
    assert digest in cosign(*verify, "good.pub", reference)
    cosign.fails(*verify, "bad.pub", reference)


def test_version_2_attests(home: Path, registry: Registry, repository: str) -> None:
    """An attestation under the tag `sha256-<hex>.att` is verified, read back and copied."""
    cosign = _cosign("cosign-2", home)
    digest = images.push(registry, repository, "v1", images.image({"a": b"attested"}))
    reference = f"{registry.host}/{repository}@{digest}"
    (home / "predicate.json").write_text(json.dumps({"built": "here"}))
    offline = (HTTP, "--key", "good.key", "--yes", "--tlog-upload=false")
    cosign("attest", *offline, "--predicate", "predicate.json", reference)
    cosign("sign", *offline, reference)
    prefix = digest.replace(":", "-")
    assert registry.tags(repository) == [f"{prefix}.att", f"{prefix}.sig", "v1"]

    verify = ("verify-attestation", HTTP, "--insecure-ignore-tlog", "--key")
    envelope = json.loads(cosign(*verify, "good.pub", reference))
    statement = json.loads(base64.b64decode(envelope["payload"]))
    assert statement["subject"][0]["digest"] == {"sha256": digest.partition(":")[2]}
    cosign.fails(*verify, "bad.pub", reference)

    copied = f"{registry.host}/{repository}/copy"
    cosign("copy", HTTP, f"{registry.host}/{repository}:v1", f"{copied}:v1")
    _verify(cosign, f"{copied}@{digest}")
    cosign(*verify, "good.pub", f"{copied}@{digest}")


@pytest.mark.backends
def test_version_3_signs(home: Path, registry: Registry, repository: str) -> None:
    """Version 3 keeps a bundle as a referrer of the signed manifest; another key does not verify."""
    cosign = _cosign("cosign-3", home)
    digest = images.push(registry, repository, "v1", images.image({"a": b"signed by 3"}))
    reference = f"{registry.host}/{repository}@{digest}"
    _fails_to_verify(cosign, reference, key="good.pub")
    cosign("signing-config", "create", "--out", "services.json")  # no services: nothing is asked over the network
    sign = ("sign", HTTP, "--key", "good.key", "--yes", "--signing-config", "services.json")
    cosign(*sign, reference)

    assert registry.tags(repository) == ["v1"]
    referrer = registry.referrers(repository, digest)[0]
    assert referrer["artifactType"] == BUNDLE
    stored = registry.manifest(repository, referrer["digest"])
    assert stored.json["subject"]["digest"] == digest
    bundle = json.loads(registry.blob(repository, stored.json["layers"][0]["digest"]))
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    assert statement["predicateType"] == "https://sigstore.dev/cosign/sign/v1"
    assert statement["subject"][0]["digest"] == {"sha256": digest.partition(":")[2]}

    _verify(cosign, reference)
    _fails_to_verify(cosign, reference, key="bad.pub")
    assert referrer["digest"].partition(":")[2] in cosign("tree", HTTP, reference)


@pytest.mark.backends
def test_version_3_attests(home: Path, registry: Registry, repository: str) -> None:
    """Signature and attestation stand beside each other as referrers, and each verifies as what it is."""
    cosign = _cosign("cosign-3", home)
    digest = images.push(registry, repository, "v1", images.image({"a": b"attested by 3"}))
    reference = f"{registry.host}/{repository}@{digest}"
    cosign("signing-config", "create", "--out", "services.json")
    (home / "predicate.json").write_text(json.dumps({"built": "here"}))
    attest = ("attest", HTTP, "--key", "good.key", "--yes", "--signing-config", "services.json")
    cosign(*attest, "--predicate", "predicate.json", reference)
    verify = ("verify-attestation", HTTP, "--insecure-ignore-tlog", "--key")
    cosign(*verify, "good.pub", reference)
    cosign.fails(*verify, "bad.pub", reference)
    cosign("sign", HTTP, "--key", "good.key", "--yes", "--signing-config", "services.json", reference)
    _verify(cosign, reference)
    assert len(registry.referrers(repository, digest)) == 2


def test_version_3_verifies_version_2(home: Path, registry: Registry, repository: str) -> None:
    """A signature in the old layout, made by version 2, satisfies version 3."""
    cosign = _cosign("cosign-2", home)
    digest = images.push(registry, repository, "v1", images.image({"a": b"signed by 2"}))
    reference = f"{registry.host}/{repository}@{digest}"
    cosign("sign", HTTP, "--key", "good.key", "--yes", "--tlog-upload=false", reference)
    newer = Client(require("cosign-3"), home, env={"COSIGN_PASSWORD": ""})
    _verify(newer, reference)
    _fails_to_verify(newer, reference, key="bad.pub")


def test_version_2_verifies_old_layout_of_version_3(home: Path, registry: Registry, repository: str) -> None:
    """Version 3 told to write the old layout satisfies version 2."""
    cosign = _cosign("cosign-3", home)
    digest = images.push(registry, repository, "v1", images.image({"a": b"signed by 3 as by 2"}))
    reference = f"{registry.host}/{repository}@{digest}"
    cosign("sign", HTTP, "--key", "good.key", "--yes", *OLD_LAYOUT, reference)
    assert f"{digest.replace(':', '-')}.sig" in registry.tags(repository)
    older = Client(require("cosign-2"), home)
    _verify(older, reference)
    _fails_to_verify(older, reference, key="bad.pub")


@pytest.mark.parametrize("name", ["cosign-2", "cosign-3"])
def test_password(name: str, home: Path, guarded: Registry, repository: str) -> None:
    """Logged in, a signature is written and verified; with a wrong password, not."""
    cosign = _cosign(name, home)
    digest = images.push(guarded, repository, "v1", images.image({"a": b"guarded"}))
    reference = f"{guarded.host}/{repository}@{digest}"
    if name == "cosign-3":
        cosign("signing-config", "create", "--out", "services.json")
        offline = ["--signing-config", "services.json"]
    else:
        offline = ["--tlog-upload=false"]
    sign = ["sign", HTTP, "--key", "good.key", "--yes", *offline, reference]
    cosign("login", guarded.host, "-u", "admin", "-p", "wrong")  # stores it without asking the registry
    assert "UNAUTHORIZED" in cosign.fails(*sign)
    cosign("login", guarded.host, "-u", "admin", "-p", ADMIN_PASSWORD)
    cosign(*sign)
    _verify(cosign, reference)
