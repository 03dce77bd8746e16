"""Secrets are found before they leave, and what only looks a little like one is let go."""

from __future__ import annotations

import json
import secrets
import string
from pathlib import Path

import pytest

from gati_client.pack.archive import listed
from gati_client.pack.secrets import found, scan
from tests.client.packs import lay

# Put together here, so that no scanner of this repository takes them for real ones.
WORDS = string.ascii_letters + string.digits


def random(length: int, letters: str = WORDS) -> str:
    return "".join(secrets.choice(letters) for _ in range(length))


BASE32 = string.ascii_uppercase + "234567"
PEM = "-----BEGIN {} KEY-----\nMIIEpAIBAAKCAQEA\n-----END {} KEY-----\n"


def caught() -> dict[str, str]:
    """Lines that hold a secret, new ones each time."""
    return {
        "an AWS access key": f"aws_access_key_id = AK{'IA'}{random(16, BASE32)}",
        "a GitHub token": f"url: https://x-access-token:gh{'p_'}{random(36)}@github.example/a.git",
        "a GitLab token": f"TOKEN=gl{'pat-'}{random(20)}",
        "a Slack token": f"xo{'xb-'}{random(12, string.digits)}-{random(24)}",
        "a Stripe key": f"stripe.api_key = 'sk_{'live_'}{random(24)}'",
        "a Google API key": f"key=AI{'za'}{random(35)}",
        "an npm token": f"//registry.example/:_authToken=np{'m_'}{random(36)}",
        "an OpenAI key": f"OPENAI_API_KEY=sk-{'proj-'}{random(48)}",
        "a Hugging Face token": f"login(token='h{'f_'}{random(34)}')",
        "a Gati key": f"gati login --token ga{'ti_'}{random(36)}",
        "a private key": PEM.format("RSA PRIVATE", "RSA PRIVATE"),
        "a password in a URL": f"DATABASE_URL=postgres://shop:{random(14)}@db.internal/shop",
        "a random-looking client_secret": f'"client_secret": "{random(20)}aB1{random(12)}"',
        "a random-looking DB_PASSWORD": f"DB_PASSWORD={random(10)}x9Y{random(8)}",
    }


@pytest.mark.parametrize("what", caught())
def test_found(what: str) -> None:
    # Random ones now and then hold a word such as `test`; a scanner that misses one in a thousand is a good one.
    results = [[finding.what for finding in found("a.txt", caught()[what])] for _ in range(30)]
    assert sum(what in result for result in results) >= 27, results


@pytest.mark.parametrize(
    "name", [".env", "config/.env.production", "id_ed25519", ".netrc", "cert/server.p12", ".aws/credentials"]
)
def test_files_that_hold_credentials(tmp_path: Path, name: str) -> None:
    (finding,) = scan(listed(lay(tmp_path, {name: "A=b", "ok.txt": "fine"})))
    assert finding.name == name


def test_logins_of_programs(tmp_path: Path) -> None:
    docker = json.dumps({"auths": {"registry.example": {"auth": "dXNlcjpwYXNz"}}})
    files: dict[str, str | bytes] = {
        ".docker/config.json": docker,
        ".npmrc": "//r.example/:_authToken=c2hvcnQ\n",
        "b/.npmrc": "//r.example/:_authToken=${TOKEN}\n",
        "c/.docker/config.json": '{"auths": {"r.example": {}}}',
    }
    lay(tmp_path, files)
    assert {finding.name for finding in scan(listed(tmp_path))} == {".docker/config.json", ".npmrc"}


HARMLESS = """
password = os.environ["DB_PASSWORD"]
const token = process.env.GITHUB_TOKEN;
API_KEY=your-api-key-here
API_KEY=<your key>
secret: ${{ secrets.NPM_TOKEN }}
password: changeme1234
"integrity": "sha512-9NhIDrGTfzOjVqZ7NOsvBlTOsuJh6eEk8r6zC4a8BNWrXr8T2sQ=="
token = tokens.next_token_after(self.position)
this.accessToken = response.data.accessToken2;
postgres://user:password@localhost/db
https://user:pass@example.com/
http://$USER:$PASS@host/
password_hash_algorithm = argon2id
secret_id = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
TOKEN_ENDPOINT = "https://auth.example.com/oauth2/v2/token"
the password must have 12 characters, a digit and a letter
if (header.startsWith("-----BEGIN PRIVATE KEY-----")) {
sha = "da39a3ee5e6b4b0d3255bfef95601890afd80709"
AKIAIOSFODNN7EXAMPLE
public_key: "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8nJ2x5m"
access_token_lifetime_seconds: 36000000000
token_type = "urn:ietf:params:oauth:token-type:jwt"
secretName: my-registry-credentials-v2
tokenizer_file: "tokenizer-v1.2.3.json"
max_tokens: 1234567890123
const secretsManager = new SecretsManagerV2Client1();
"""


def test_harmless() -> None:
    assert [str(finding) for finding in found("a.txt", HARMLESS)] == []


def test_a_line_can_be_allowed() -> None:
    line = caught()["a GitLab token"]
    assert list(found("a", f"{line}  # gati:allow-secret")) == []


def test_what_is_shown_is_no_secret() -> None:
    token = f"gl{'pat-'}{random(20)}"
    (finding,) = found("a", f"x\n{token}\n")
    assert str(finding).startswith("a:2: a GitLab token")
    assert token[10:] not in str(finding)
    assert not set(finding.shown) - set(token) - {"…"}


def test_this_project_has_none() -> None:
    """Forty thousand lines that are about tokens, passwords and keys: a hit is a false alarm."""
    root = Path(__file__).resolve().parents[2]
    alarms = [
        str(finding) for part in ("registry", "extensions", "client", "docs") for finding in scan(listed(root / part))
    ]
    assert alarms == []


def test_a_large_file_takes_no_time(tmp_path: Path) -> None:
    lay(tmp_path, {"min.js": "token=" * 200_000, "a.txt": "password: " + "a1B" * 500_000, "b": "secret_" * 100_000})
    scan(listed(tmp_path))
