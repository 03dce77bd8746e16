"""Secrets, found before they leave: known tokens, private keys, files that hold credentials, and values of words like
`password` that look random.

A line with the words `gati:allow-secret` is let be. False alarms are worse than they look, since people learn to
override them: so a random-looking value counts only beside a telling name, and placeholders do not count at all.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gati_client.pack.archive import PackedFile

ALLOWED = "gati:allow-secret"
MAX_SCANNED = 8 * 1024 * 1024
"""Bytes of one file that are looked through; models and other big binaries are no place for secrets."""
MAX_LINE = 4096
"""Of a longer line (minified code) known tokens are looked for, not random-looking values."""
MAX_FINDINGS = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """Where something looks like a secret. `shown` is its beginning alone."""

    name: str
    line: int
    what: str
    shown: str

    def __str__(self) -> str:
        return f"{self.name}:{self.line}: {self.what} ({self.shown})"


def _token(what: str, expression: str) -> tuple[str, re.Pattern[str]]:
    return what, re.compile(rf"(?<![A-Za-z0-9_-])(?:{expression})(?![A-Za-z0-9_-])")


# The shapes that their issuers publish, so that scanners find them.
_TOKENS = (
    _token("a Gati key", r"gati[rsidx]?_[0-9A-Za-z]{36}"),
    _token("an AWS access key", r"(?:AKIA|ASIA)[A-Z2-7]{16}"),
    _token("a GitHub token", r"gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"),
    _token("a GitLab token", r"gl(?:pat|dt|rt|cbt|ptt|ft|agent|oas)-[A-Za-z0-9_-]{20,}"),
    _token("a Slack token", r"xox[abeoprs]-[0-9A-Za-z-]{20,}|xapp-[0-9]-[A-Z0-9]+-[0-9]+-[a-f0-9]{40,}"),
    _token("a Stripe key", r"(?:sk|rk)_live_[0-9A-Za-z]{20,}|whsec_[0-9A-Za-z]{32,}"),
    _token("a Google API key", r"AIza[0-9A-Za-z_-]{35}"),
    _token("a Google OAuth secret", r"GOCSPX-[0-9A-Za-z_-]{28}"),
    _token("an npm token", r"npm_[A-Za-z0-9]{36}"),
    _token("a PyPI token", r"pypi-AgE[A-Za-z0-9_-]{50,}"),
    _token("an OpenAI key", r"sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{40,}|sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}"),
    _token("an Anthropic key", r"sk-ant-(?:api|admin|oat)[0-9]{2}-[A-Za-z0-9_-]{80,}"),
    _token("a Hugging Face token", r"hf_[A-Za-z0-9]{34,}"),
    _token("a SendGrid key", r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),
    _token("a DigitalOcean token", r"do[opr]_v1_[a-f0-9]{64}"),
    _token("a Docker token", r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{27,}"),
    _token("a Shopify token", r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
    _token("a Telegram bot's token", r"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}"),
    _token("a Vault token", r"hv[sb]\.[A-Za-z0-9_-]{24,}"),
    _token("a HashiCorp token", r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{60,}"),
    _token("an age key", r"AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}"),
    _token("an Azure storage key", r"AccountKey=[A-Za-z0-9+/]{86}=="),
)
_HINTS = re.compile(
    r"gati[rsidx]?_|AKIA|ASIA|gh[pousr]_|github_pat_|gl(?:pat|dt|rt|cbt|ptt|ft|agent|oas)-|xox|xapp-|[sr]k_live_|whsec_|AIza|GOCSPX-"
    r"|npm_|pypi-AgE|sk-|hf_|SG\.|_v1_|dckr_|shp|:AA|hv[sb]\.|atlasv1|AGE-SECRET|AccountKey="
)
"""What any of them holds: most lines hold none, and are looked at once."""

_PRIVATE_KEY = re.compile(r"-----BEGIN (?:[A-Z0-9 ]+ )?PRIVATE KEY(?: BLOCK)?-----")
_IN_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://([^\s/:@\"'<>]{1,128}):([^\s/@\"'<>]{3,256})@[A-Za-z0-9.\[-]")
_JWT = re.compile(r"(?<![A-Za-z0-9_-])(eyJ[A-Za-z0-9_-]{10,})\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}")
_NAMED = re.compile(
    r"""(?ix)
    (?P<name>[a-z0-9_.-]{0,60}
      (?:password|passwd|passphrase|secret|api[_-]?key|apikey|access[_-]?key|auth[_-]?token|access[_-]?token
        |refresh[_-]?token|client[_-]?secret|private[_-]?key|_authtoken|credential|token|pwd)
     (?:s|[_0-9][a-z0-9_]{0,20})?)
    ["'\]]{0,2} \s{0,4} (?::=|=>|[:=]) \s{0,4} (?P<quote>["'`]?) (?P<value>[^\s"'`,;<>(){}\[\]\\]{8,512}) (?P=quote)
    """
)
_PLACEHOLDER = re.compile(
    r"(?i)\$|%[(s]|\*{3}|x{4}|\.\.\.|example|sample|dummy|fake|placeholder|change[_-]?me|your[_-]|my[_-]|test|todo|replace"
    r"|redacted|insert|process\.env|os\.environ|getenv|none|null|undefined|default|0123456789|abcdef|12345678"
)
_NOT_RANDOM = re.compile(
    r"(?x) [0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12} | sha(?:256|384|512)[:-].* | v?\d+(?:\.\d+)+.* | https?://.*"
    r"| /.* | [a-zA-Z]+(?:[._:/-][a-zA-Z]+)* "
)
_DOCUMENTED = frozenset({"user", "username", "name", "login", "foo", "usr"})

_FILES = (
    (
        re.compile(r"(?:^|/)\.env(?:\.(?!example$|sample$|template$|dist$|defaults?$)[^/]*)?$"),
        "a file of environment variables",
    ),
    (re.compile(r"(?:^|/)id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?$"), "an SSH key"),
    (re.compile(r"(?:^|/)(?:\.netrc|_netrc|\.pgpass|\.git-credentials|\.htpasswd|\.pypirc)$"), "a file of credentials"),
    (re.compile(r"\.(?:p12|pfx|jks|keystore|kdbx|ppk)$", re.IGNORECASE), "a store of keys"),
    (re.compile(r"(?:^|/)\.aws/credentials$|(?:^|/)\.kube/config$"), "a file of credentials"),
)  # fmt: skip
_DOCKER = re.compile(r"(?:^|/)\.docker/config\.json$|(?:^|/)\.dockercfg$")
_NPMRC = re.compile(r"(?im)^\s*(?://[^\s=]*)?:?_(?:authToken|auth|password)\s*=\s*(?!\s*\$\{)(\S+)")


def scan(files: Iterable[PackedFile]) -> list[Finding]:
    """What looks like a secret in files that are about to leave, in their order; at most a hundred."""
    out: list[Finding] = []
    for file in files:
        for finding in _file(file):
            out.append(finding)
            if len(out) >= MAX_FINDINGS:
                return out
    return out


def _file(file: PackedFile) -> Iterator[Finding]:
    for pattern, what in _FILES:
        if file.size and pattern.search(file.name):
            yield Finding(file.name, 1, what, file.name.rpartition("/")[2])
            return
    with file.path.open("rb") as source:
        data = source.read(MAX_SCANNED)
    if b"\0" in data[:8192] and b"PRIVATE KEY-----" not in data:
        return
    yield from found(file.name, data.decode("utf-8", "replace"))


def found(name: str, text: str) -> Iterator[Finding]:
    """What a text holds, a finding for each line at most."""
    if _DOCKER.search(name) and _docker(text):
        yield Finding(name, 1, "a login of docker", "auths")
        return
    npmrc = name.rpartition("/")[2] == ".npmrc"
    for number, line in enumerate(text.split("\n"), 1):
        if ALLOWED in line:
            continue
        hit = _line(line) or (_npm(line) if npmrc else None)
        if hit is not None:
            yield Finding(name, number, hit[0], _shown(hit[1]))


def _line(line: str) -> tuple[str, str] | None:
    if _HINTS.search(line):
        for what, pattern in _TOKENS:
            for match in pattern.finditer(line):
                if not _PLACEHOLDER.search(match[0]) and entropy(match[0]) > 3:
                    return what, match[0]
    if "PRIVATE KEY" in line and (key := _PRIVATE_KEY.search(line)) and _is_key(line, key.end()):
        return "a private key", key[0]
    if "eyJ" in line and (web := _JWT.search(line)) and _is_jwt(web[1]):
        return "a JSON web token", web[0]
    if "://" in line and (url := _IN_URL.search(line)) and not _documented(url[1], url[2]):
        return "a password in a URL", url[2]
    if len(line) <= MAX_LINE:
        for match in _NAMED.finditer(line):
            if "public" in match["name"].lower():
                continue
            if _random(match["value"], quoted=bool(match["quote"])):
                return f"a random-looking {match['name'][-40:]}", match["value"]
    return None


def _is_key(line: str, end: int) -> bool:
    """Not the words about one in some code: they stand alone in their line, or with the key behind them."""
    rest = line[end:].strip()
    return not rest or rest.startswith(("\\n", "\\r", "M"))


def _documented(user: str, password: str) -> bool:
    return (
        _PLACEHOLDER.search(password) is not None
        or password.lower() in ("password", "pass", "passwd", "secret", "pwd", "pw", "token")
        or (user.lower() in _DOCUMENTED and password.isalpha())
        or password.startswith(("{", ":", "["))
    )


def _is_jwt(head: str) -> bool:
    try:
        return isinstance(json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))), dict)
    except (binascii.Error, ValueError):
        return False


def _random(value: str, *, quoted: bool) -> bool:
    """Whether a value of a telling name is one that nobody would remember."""
    if len(value) < 12 or _PLACEHOLDER.search(value) or _NOT_RANDOM.fullmatch(value):
        return False
    kinds = sum(
        any(test(character) for character in value) for test in (str.isdigit, str.islower, str.isupper)
    )  # fmt: skip
    hexadecimal = re.fullmatch(r"[0-9a-fA-F]+", value) is not None
    if hexadecimal:
        return len(value) >= 32 and entropy(value) > 3
    if kinds < 2 or not any(map(str.isdigit, value)):
        return False
    if not quoted and re.search(r"[.:/]|->", value):
        return False  # code: `token = self.next2.value`
    return entropy(value) > (3.2 if len(value) < 20 else 3.6)


def entropy(text: str) -> float:
    """Bits for each character, by how often each occurs."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())


def _npm(line: str) -> tuple[str, str] | None:
    match = _NPMRC.search(line)
    return ("a login of npm", match[1]) if match else None


def _docker(text: str) -> bool:
    try:
        auths = json.loads(text).get("auths", {})
    except (ValueError, AttributeError):
        return False
    return isinstance(auths, dict) and any(isinstance(entry, dict) and entry.get("auth") for entry in auths.values())


def _shown(secret: str) -> str:
    return secret[: min(8, len(secret) // 3)] + "…"
