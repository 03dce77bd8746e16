"""What the tests of the façades share: packages, and forms as an HTTP client of somebody else's makes them."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from typing import Any

import httpx
import yaml

from tests.core.support import Answer
from tests.extensions.access.support import User

EXTENSIONS = "identity,namespaces,access,kinds,resolve,facades"

# The manifest of the SpecRegistry design, section 2.2, word for word but for the names of its dependencies.
MANIFEST = """\
name: "payment-protocol"
version: "1.2.3"
framework: "tlaplus"
description: "Formal specification of distributed payment protocol"

dependencies:
  tlapus/state-machine: "^1.0.0"
  crypto/algorithms: "~2.1.0"

devDependencies:
  testing/property-based: "^3.0.0"

specifications:
  main: "specs/main.tla"
  modules:
    - "specs/protocol.tla"
    - "specs/invariants.tla"

tests:
  - "tests/test1.yaml"
  - "tests/test2.yaml"

documentation:
  readme: "docs/overview.md"
  examples: "docs/examples.md"

tools:
  tlaplus:
    module: "PaymentProtocol"
    options:
      depth: 10
  alloy:
    scope: 5

keywords:
  - "distributed"
  - "payment"
  - "protocol"
  - "consensus"

license: "MIT"
author: "Team <team@example.com>"
repository: "https://github.com/org/payment-protocol-spec"
homepage: "https://specs.example.com/payment-protocol"
"""

FILES = ("specs/main.tla", "specs/protocol.tla", "specs/invariants.tla", "tests/test1.yaml", "tests/test2.yaml",
         "docs/overview.md", "docs/examples.md")  # fmt: skip


def archive(files: Mapping[str, bytes], folder: str = "payment-protocol@1.2.3/") -> bytes:
    """A gzipped tar, the same for the same files."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(folder + name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return gzip.compress(plain.getvalue(), mtime=0)


def package(manifest: str = MANIFEST, *files: str, folder: str = "payment-protocol@1.2.3/") -> bytes:
    """A package with these files."""
    content = {name: f"{name}\n".encode() for name in files or FILES}
    return archive({"spec.yaml": manifest.encode(), **content}, folder)


def spec(name: str, version: str, **more: Any) -> str:
    """A small manifest."""
    return yaml.safe_dump(
        {"name": name, "version": version, "framework": "alloy", "specifications": {"main": "main.als"}, **more}
    )


def small(name: str, version: str, **more: Any) -> bytes:
    """A small package."""
    return package(spec(name, version, **more), "main.als", folder="")


async def send(user: User, path: str, **files: bytes) -> Answer:
    """A form, as httpx writes it."""
    request = httpx.Request("POST", "http://registry.test", files={name: (name, data) for name, data in files.items()})
    body = request.read()
    headers = {"Content-Type": request.headers["content-type"], "Content-Length": str(len(body))}
    return await user.client.request("POST", path, body, headers)


async def publish(user: User, data: bytes, **files: bytes) -> Any:
    """A publication that must succeed."""
    answer = await send(user, "/api/v1/publish", package=data, **files)
    assert answer.status == 201, answer
    return answer.json()
