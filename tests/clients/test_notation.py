"""notation signs with a test certificate and verifies under a trust policy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clients import images
from tests.clients.client import Client
from tests.clients.conftest import ADMIN_PASSWORD
from tests.clients.programs import require
from tests.clients.registry import Registry

pytestmark = pytest.mark.client

SIGNATURE = "application/vnd.cncf.notary.signature"
HTTP = "--insecure-registry"


def _notation(home: Path, *, trusted: str) -> Client:
    """A notation with two test certificates, `good` and `bad`, that trusts one of them."""
    notation = Client(require("notation"), home)
    notation("cert", "generate-test", "--default", "good")
    notation("cert", "generate-test", "bad")
    policy = {
        "version": "1.0",
        "trustPolicies": [
            {
                "name": "tests",
                "registryScopes": ["*"],
                "signatureVerification": {"level": "strict"},
                "trustStores": [f"ca:{trusted}"],
                "trustedIdentities": ["*"],
            }
        ],
    }
    (home / "policy.json").write_text(json.dumps(policy))
    notation("policy", "import", "policy.json")
    return notation


@pytest.mark.parametrize("envelope", ["jws", "cose"])
def test_sign_and_verify(home: Path, registry: Registry, repository: str, envelope: str) -> None:
    """A signature is a referrer of the manifest; it verifies, and is listed."""
    notation = _notation(home, trusted="good")
    digest = images.push(registry, repository, "v1", images.image({"a": envelope.encode()}))
    reference = f"{registry.host}/{repository}@{digest}"
    assert "no signature" in notation.fails("verify", HTTP, reference)
    notation("sign", HTTP, "--force-referrers-tag=false", "--signature-format", envelope, reference)

    referrer = registry.referrers(repository, digest)[0]
    assert referrer["artifactType"] == SIGNATURE
    assert registry.tags(repository) == ["v1"]
    assert "Successfully verified" in notation("verify", HTTP, reference)
    assert referrer["digest"] in notation("list", HTTP, reference)
    inspected = json.loads(notation("inspect", HTTP, "-o", "json", reference))
    assert inspected["Signatures"][0]["digest"] == referrer["digest"]


def test_fallback_tag_is_taken_in(home: Path, registry: Registry, repository: str) -> None:
    """notation's default writes the fallback tag; the signature is found by the referrers API too."""
    notation = _notation(home, trusted="good")
    digest = images.push(registry, repository, "v1", images.image({"a": b"fallback"}))
    reference = f"{registry.host}/{repository}@{digest}"
    notation("sign", HTTP, reference)
    assert digest.replace(":", "-") in registry.tags(repository)
    assert [entry["artifactType"] for entry in registry.referrers(repository, digest)] == [SIGNATURE]
    assert "Successfully verified" in notation("verify", HTTP, reference)


def test_untrusted_certificate(home: Path, registry: Registry, repository: str) -> None:
    """A signature by a certificate that the policy does not trust does not verify."""
    notation = _notation(home, trusted="bad")
    digest = images.push(registry, repository, "v1", images.image({"a": b"untrusted"}))
    reference = f"{registry.host}/{repository}@{digest}"
    notation("sign", HTTP, "--force-referrers-tag=false", "--key", "good", reference)
    assert "signature verification failed" in notation.fails("verify", HTTP, reference)


def test_password(home: Path, guarded: Registry, repository: str) -> None:
    """With the right password a signature is written and verified; with a wrong one, not."""
    notation = _notation(home, trusted="good")
    digest = images.push(guarded, repository, "v1", images.image({"a": b"guarded"}))
    reference = f"{guarded.host}/{repository}@{digest}"
    notation.fails("sign", HTTP, "-u", "admin", "-p", "wrong", reference)
    assert guarded.referrers(repository, digest) == []
    right = ("-u", "admin", "-p", ADMIN_PASSWORD)
    notation("sign", HTTP, *right, "--force-referrers-tag=false", reference)
    assert "Successfully verified" in notation("verify", HTTP, *right, reference)
