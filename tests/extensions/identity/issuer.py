"""An issuer of builds' tokens: a real HTTPS server with OpenID Connect Discovery and a key set, and what it signs.

The claims are those of GitHub Actions and of GitLab CI as their documentation shows them:
https://docs.github.com/en/actions/reference/security/oidc and https://docs.gitlab.com/ci/secrets/id_token_authentication/.
"""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import ssl
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
ALGORITHMS = {"rsa": "RS256", "ec": "ES256", "ed": "EdDSA"}


@dataclass
class Issuer:
    """What the server answers, and the keys behind it; all of it can be changed while it runs."""

    url: str = ""
    ca: Path = Path()
    keys: dict[str, Private] = field(default_factory=dict)
    jwks: list[dict[str, Any]] | None = None
    discovery: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    down: bool = False

    def key_set(self) -> list[dict[str, Any]]:
        """The public keys."""
        if self.jwks is not None:
            return self.jwks
        return [{**public_jwk(key), "kid": kid, "use": "sig", "alg": algorithm(key)} for kid, key in self.keys.items()]

    def sign(self, claims: dict[str, Any], kid: str = "rsa", **header: Any) -> str:
        """A token."""
        key = self.keys[kid]
        data = json.dumps(claims).encode()  # whatever it is: PyJWT would refuse some
        return jwt.PyJWS().encode(data, key, algorithm(key), {"kid": kid, **header})

    def github(self, now: int, audience: str, **claims: Any) -> dict[str, Any]:
        """What GitHub Actions says of a job; `now` in milliseconds."""
        seconds = now // 1000
        found = {
            "jti": str(uuid.uuid4()), "sub": "repo:acme/app:environment:release", "aud": audience,
            "ref": "refs/tags/v1.0", "sha": "e" * 40, "repository": "acme/app", "repository_owner": "acme",
            "repository_owner_id": "65", "run_id": "6412", "run_number": "42", "run_attempt": "1",
            "repository_visibility": "public", "repository_id": "74", "actor_id": "12", "actor": "octocat",
            "workflow": "release", "head_ref": "", "base_ref": "", "event_name": "push", "ref_protected": "true",
            "ref_type": "tag", "environment": "release", "runner_environment": "github-hosted",
            "workflow_ref": "acme/app/.github/workflows/release.yml@refs/tags/v1.0", "workflow_sha": "e" * 40,
            "job_workflow_ref": "acme/app/.github/workflows/release.yml@refs/tags/v1.0",
            "job_workflow_sha": "e" * 40, "iss": self.url, "nbf": seconds - 300, "exp": seconds + 900, "iat": seconds,
            "enterprise": "acme",
        }  # fmt: skip
        return found | claims

    def gitlab(self, now: int, audience: str, **claims: Any) -> dict[str, Any]:
        """What GitLab CI says of a job."""
        seconds = now // 1000
        found = {
            "namespace_id": "72", "namespace_path": "acme", "project_id": "20", "project_path": "acme/app",
            "user_id": "1", "user_login": "sample", "user_email": "sample@example.com",
            "user_access_level": "developer",
            "pipeline_id": "574", "pipeline_source": "push", "job_id": "302", "ref": "main", "ref_type": "branch",
            "ref_path": "refs/heads/main", "ref_protected": "true", "groups_direct": ["acme"],
            "environment": "production", "environment_protected": "true", "deployment_tier": "production",
            "runner_id": 1, "runner_environment": "self-hosted", "sha": "7" * 40, "project_visibility": "public",
            "ci_config_ref_uri": "gitlab.example/acme/app//.gitlab-ci.yml@refs/heads/main", "ci_config_sha": "7" * 40,
            "jti": str(uuid.uuid4()), "iat": seconds, "nbf": seconds - 5, "exp": seconds + 3600, "iss": self.url,
            "sub": "project_path:acme/app:ref_type:branch:ref:main", "aud": audience,
        }  # fmt: skip
        return found | claims


def algorithm(key: Private) -> str:
    """The algorithm that a key is used with."""
    if isinstance(key, rsa.RSAPrivateKey):
        return "RS256"
    return "ES256" if isinstance(key, ec.EllipticCurvePrivateKey) else "EdDSA"


def public_jwk(key: Private) -> dict[str, Any]:
    """The public half as a JSON Web Key."""
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        return {"kty": "RSA", "n": _integer(numbers.n), "e": _integer(numbers.e)}
    if isinstance(public, ec.EllipticCurvePublicKey):
        point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return {"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])}
    return {"kty": "OKP", "crv": "Ed25519", "x": b64(public.public_bytes_raw())}


def b64(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _integer(number: int) -> str:
    return b64(number.to_bytes((number.bit_length() + 7) // 8, "big"))


@contextlib.contextmanager
def running_issuer(certificate: tuple[Path, Path]) -> Iterator[Issuer]:
    """An issuer on loopback, with a key of each kind."""
    chain, private = certificate
    issuer = Issuer(ca=chain)
    issuer.keys = {
        "rsa": rsa.generate_private_key(65537, 2048),
        "ec": ec.generate_private_key(ec.SECP256R1()),
        "ed": ed25519.Ed25519PrivateKey.generate(),
    }

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked.append(self.path)
            documents: dict[str, Any] = {
                "/.well-known/openid-configuration": {
                    "issuer": issuer.url,
                    "jwks_uri": f"{issuer.url}/jwks?v=1",
                    "id_token_signing_alg_values_supported": ["RS256"],
                    **issuer.discovery,
                },
                "/jwks?v=1": {"keys": issuer.key_set()},
            }
            found = documents.get(self.path)
            self.send_response(503 if issuer.down else 404 if found is None else 200)
            self.end_headers()
            self.wfile.write(json.dumps(found).encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, private)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    issuer.url = f"https://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
