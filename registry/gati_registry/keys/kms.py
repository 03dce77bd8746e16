"""A master key in AWS KMS, or a server that speaks as it does.

Source: https://docs.aws.amazon.com/kms/latest/APIReference and, for signatures,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gati_registry.errors import Code, RegistryError, Unavailable
from gati_registry.keys.http import KeyServer
from gati_registry.ports import Wrapped

DRIVER = "kms:"


@dataclass(frozen=True, slots=True)
class AwsCredentials:
    """An access key; `session` where it is a temporary one."""

    access: str
    secret: str
    session: str | None = None


def signed(
    headers: Mapping[str, str],
    body: bytes,
    *,
    method: str = "POST",
    path: str = "/",
    query: str = "",
    moment: float,
    service: str,
    region: str,
    credentials: AwsCredentials,
) -> dict[str, str]:
    """The headers, which name the host, with the date and a Signature Version 4 over all of them.

    `path` and `query` are as they are sent, the query in its canonical order.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(moment))
    given = {**headers, "X-Amz-Date": stamp}
    if credentials.session is not None:
        given["X-Amz-Security-Token"] = credentials.session
    low = {name.lower(): " ".join(value.split()) for name, value in given.items()}
    names = ";".join(sorted(low))
    canonical = "\n".join(
        [method, path, query, *(f"{name}:{low[name]}" for name in sorted(low)), "", names, _sha256(body)]
    )
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    key = f"AWS4{credentials.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), hashlib.sha256)
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{_sha256(canonical.encode())}"
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    given["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return given


class KmsMasterKey:
    """`ports.MasterKey` by a symmetric KMS key: an id, an ARN or an alias.

    What it wraps names the key by its ARN, so a setting may change to another key, and `rewrap` moves to it. KMS turns
    the material behind one ARN by itself.
    """

    def __init__(self, server: KeyServer, region: str, key: str, credentials: Callable[[], AwsCredentials]) -> None:
        self._server = server
        self._region = region
        self._key = key
        self._credentials = credentials

    async def current(self) -> str:
        found = await self._ask("DescribeKey", {"KeyId": self._key})
        return DRIVER + _field(found.get("KeyMetadata"), "Arn")

    async def wrap(self, key: bytes, context: str) -> Wrapped:
        body = {"KeyId": self._key, "Plaintext": _text(key), "EncryptionContext": _context(context)}
        found = await self._ask("Encrypt", body)
        return Wrapped(DRIVER + _field(found, "KeyId"), _bytes(found, "CiphertextBlob"))

    async def unwrap(self, wrapped: Wrapped, context: str) -> bytes:
        body = {
            "KeyId": wrapped.master.removeprefix(DRIVER),
            "CiphertextBlob": _text(wrapped.data),
            "EncryptionContext": _context(context),
        }
        key = _bytes(await self._ask("Decrypt", body), "Plaintext")
        if len(key) != 32:
            raise _nonsense()
        return key

    async def rotate(self) -> str:
        raise RegistryError(
            Code.UNSUPPORTED,
            "KMS turns its keys by itself; for another key, name it in encryption.kms_key and run keys rewrap",
        )

    async def _ask(self, operation: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        credentials = self._credentials()

        def headers(data: bytes) -> Mapping[str, str]:
            return signed(
                {
                    "Host": urlsplit(self._server.url).netloc,
                    "Content-Type": "application/x-amz-json-1.1",
                    "X-Amz-Target": f"TrentService.{operation}",
                },
                data,
                moment=time.time(),
                service="kms",
                region=self._region,
                credentials=credentials,
            )

        answer = await self._server.ask("POST", "/", body, headers)
        if answer.status == 200:
            return answer.document
        # Its own words may quote what we sent.
        kind = str(answer.document.get("__type", "")).rpartition("#")[2][:60] or f"status {answer.status}"
        raise Unavailable(f"KMS refuses {operation} with {self._key} ({kind})", retry_after=30)


def _field(found: object, name: str) -> str:
    value = found.get(name) if isinstance(found, dict) else None
    if not isinstance(value, str):
        raise _nonsense()
    return value


def _bytes(found: Mapping[str, Any], name: str) -> bytes:
    try:
        return base64.b64decode(_field(found, name), validate=True)
    except binascii.Error:
        raise _nonsense() from None


def _nonsense() -> Unavailable:
    return Unavailable("KMS's answer makes no sense; check encryption.kms_endpoint")


def _context(context: str) -> dict[str, str]:
    return {"gati:namespace": context}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
