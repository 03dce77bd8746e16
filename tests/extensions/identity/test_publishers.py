"""Trusted publishing: builds' own tokens, from a real issuer, exchanged and used; and all that must not work."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.warnings import InsecureKeyLengthWarning

from tests.core.support import Answer, FakeClock
from tests.extensions.access.support import User, World, basic, peopled
from tests.extensions.identity.issuer import Issuer, b64, public_jwk, running_issuer
from tests.serving.conftest import certificate

__all__ = ["certificate"]

pytestmark = pytest.mark.anyio

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"
APP = "orgs/acme/app"
TRUSTED = "identity/trusted-publishers"
CLAIMS = {"repository": "acme/app", "workflow_path": "acme/app/.github/workflows/release.yml", "environment": "release"}


@pytest.fixture(scope="module")
def issuer_server(certificate: tuple[Path, Path]) -> Iterator[Issuer]:
    """One server for this file."""
    with running_issuer(certificate) as found:
        yield found


@pytest.fixture
def issuer(issuer_server: Issuer) -> Issuer:
    """The issuer, as it was at first."""
    issuer_server.jwks, issuer_server.discovery, issuer_server.down = None, {}, False
    issuer_server.keys = {kid: issuer_server.keys[kid] for kid in ("rsa", "ec", "ed")}
    issuer_server.asked.clear()
    return issuer_server


@pytest.fixture
async def site(folder: Path, clock: FakeClock, issuer: Issuer) -> AsyncIterator[World]:
    """A registry that reaches the issuer; alice owns acme."""
    settings = {
        "identity.allowed_networks": "127.0.0.0/8",
        "identity.issuer_ca": str(issuer.ca),
    }
    async with peopled(
        folder, clock, "alice", "bob", "carol", extensions="identity,namespaces,access,audit", settings=settings
    ) as built:
        yield built


async def trust(site: World, issuer: Issuer, **more: Any) -> Any:
    """A publisher of acme's, registered by alice."""
    body = {"repository": APP, "issuer": issuer.url, "claims": CLAIMS, **more}
    return await site.user("alice").done("POST", TRUSTED, body)


async def audience(site: World) -> str:
    """Whom tokens must be for."""
    found = (await site.nobody.done("GET", "identity/exchange"))["audience"]
    assert isinstance(found, str)
    return found


async def exchange(site: World, token: str, **fields: str) -> Answer:
    """The exchange of a token."""
    form = {"grant_type": GRANT, "subject_token": token, "subject_token_type": JWT, **fields}
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return await site.nobody.client.request("POST", "/v2/_ext/identity/exchange", urlencode(form).encode(), kind)


async def exchanged(site: World, token: str, **fields: str) -> User:
    """The build, with what it was given."""
    answer = await exchange(site, token, **fields)
    assert answer.status == 200, answer
    assert answer.headers["cache-control"] == "no-store"
    return site.bearer(answer.json()["access_token"])


async def test_a_build_publishes(site: World, clock: FakeClock, issuer: Issuer) -> None:
    """As a bearer, as docker login does it, and by tokens of the token service; for an hour."""
    made = await trust(site, issuer)
    assert (made["account"], made["actions"], made["used_at"]) == ("acme", ["pull", "push"], None)
    answer = await exchange(site, issuer.sign(issuer.github(clock.now(), await audience(site))))
    assert answer.status == 200, answer
    given = answer.json()
    assert given["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert (given["token_type"], given["expires_in"], given["scope"]) == ("Bearer", 3600, f"repository:{APP}:pull,push")
    token = given["access_token"]
    build = site.bearer(token)
    assert (await build.push(APP)).status == 201
    assert (await build.pull(APP)).status == 200
    docker = site.with_headers(basic("gati", token))
    assert (await docker.get("/v2/")).status == 200
    session = await site.token(docker, f"repository:{APP}:pull,push")
    assert (await session.push(APP, "v2")).status == 201
    assert "refresh_token" not in await docker.done("GET", f"/token?offline_token=true&scope=repository:{APP}:pull")
    assert (await site.with_headers({"X-API-Key": token}).pull(APP)).status == 200
    assert (await site.with_headers(basic("alice", token)).get("/v2/")).status == 401
    listed = await site.user("alice").done("GET", f"{TRUSTED}?repository={APP}")
    assert [item["id"] for item in listed["items"]] == [made["id"]]
    assert listed["items"][0]["used_at"] is not None
    for kid in ("ec", "ed"):
        await exchanged(site, issuer.sign(issuer.github(clock.now(), await audience(site)), kid))
    clock.advance(3600)
    for user in (build, docker, session):
        assert (await user.pull(APP)).status == 401


async def test_a_build_at_gitlab(site: World, clock: FakeClock, issuer: Issuer) -> None:
    claims = {"project_path": "acme/app", "ref": "main", "ref_protected": "true", "environment": "production"}
    await trust(site, issuer, claims=claims)
    job = issuer.gitlab(clock.now(), await audience(site))
    assert (await (await exchanged(site, issuer.sign(job))).push(APP)).status == 201
    for other in ({"ref": "main2"}, {"ref_protected": "false"}, {"project_path": "acme/app2"}, {"environment": None}):
        refused = await exchange(site, issuer.sign(issuer.gitlab(clock.now(), await audience(site), **other)))
        assert refused.status == 403, other


async def test_what_is_logged(site: World, clock: FakeClock, issuer: Issuer) -> None:
    made = await trust(site, issuer)
    build = await exchanged(site, issuer.sign(issuer.github(clock.now(), await audience(site))))
    assert (await build.push(APP)).status == 201
    assert (await exchange(site, "e.e.e")).status == 403
    for job in site.registry.extensions.all("jobs"):
        if job.name.startswith("audit."):
            await job.run()
    entries = (await site.admin.done("GET", "audit/entries?limit=200"))["items"]
    pushed = [entry for entry in entries if entry["action"] == "manifest.put"]
    assert [(entry["method"], entry["actor"]) for entry in pushed] == [("trusted-publisher", "acme")]
    given = [entry for entry in entries if entry["action"] == "identity.publisher.exchange"]
    assert [entry["method"] for entry in given] == ["trusted-publisher"]
    assert made["id"] in json.dumps(given)
    assert "repo:acme/app:environment:release" in json.dumps(given)


async def test_it_is_good_for_one_repository_alone(site: World, clock: FakeClock, issuer: Issuer) -> None:
    alice = site.user("alice")
    assert (await alice.push("orgs/acme/other")).status == 201
    await trust(site, issuer)
    build = await exchanged(site, issuer.sign(issuer.github(clock.now(), await audience(site))))
    for name in ("orgs/acme/other", f"{APP}/sub", "orgs/acme/ap", "orgs/acme/app2", "users/alice/app", "library/app"):
        assert (await build.push(name)).status == 401, name
        assert (await build.pull(name)).status == 401, name
    assert (await build.push(APP)).status == 201
    for method, path in (
        ("GET", "identity/me"), ("POST", "identity/keys"), ("GET", "identity/users"), ("POST", TRUSTED),
        ("GET", f"{TRUSTED}?repository={APP}"), ("GET", "/v2/_catalog"), ("POST", "access/capabilities"),
        ("PUT", "namespaces/orgs/acme/members/user/carol"), ("DELETE", f"/v2/{APP}/manifests/v1"),
    ):  # fmt: skip
        assert (await build.call(method, path, {})).status == 401, path
    # Nor by way of the token service: it narrows, and a token gets no token.
    docker = site.with_headers(basic("gati", build.client.headers["Authorization"].removeprefix("Bearer ")))
    wider = await site.token(docker, f"repository:{APP}:pull,push,delete,*", "repository:orgs/acme/other:pull,push")
    assert (await wider.push("orgs/acme/other")).status == 401
    assert (await wider.call("DELETE", f"/v2/{APP}/manifests/v1")).status == 401
    assert (await wider.push(APP, "v3")).status == 201
    mount = f"/v2/{APP}/blobs/uploads/?mount=sha256:{'0' * 64}&from=orgs/acme/other"
    assert (await build.call("POST", mount)).status in (202, 401)


async def test_scopes_are_not_widened(site: World, clock: FakeClock, issuer: Issuer) -> None:
    await trust(site, issuer, actions=["pull"])
    aud = await audience(site)

    async def asked(scope: str) -> Answer:
        return await exchange(site, issuer.sign(issuer.github(clock.now(), aud)), scope=scope)

    for scope, status in (
        (f"repository:{APP}:push", 403), (f"repository:{APP}:pull,push", 403), (f"repository:{APP}:*", 403),
        (f"repository:{APP}:delete", 403), ("repository:orgs/acme/other:pull", 403), ("registry:catalog:*", 400),
        (f"repository:{APP}:pull repository:orgs/acme/other:pull", 400), ("nonsense", 400),
    ):  # fmt: skip
        answer = await asked(scope)
        assert answer.status == status, (scope, answer)
        assert set(answer.json()) == {"error", "error_description", "errors"}
    reader = await exchanged(site, issuer.sign(issuer.github(clock.now(), aud)), scope=f"repository:{APP}:pull")
    assert (await reader.push(APP)).status == 401


async def test_a_build_of_several_repositories(site: World, clock: FakeClock, issuer: Issuer) -> None:
    """It says which it means; each takes a token of its own."""
    await trust(site, issuer)
    await trust(site, issuer, repository="orgs/acme/chart")
    aud = await audience(site)
    token = issuer.sign(issuer.github(clock.now(), aud))
    assert (await exchange(site, token)).status == 400
    chart = await exchanged(site, token, scope="repository:orgs/acme/chart:push,pull")
    assert (await chart.push("orgs/acme/chart")).status == 201
    assert (await chart.push(APP)).status == 401


async def test_a_token_is_exchanged_once(site: World, clock: FakeClock, issuer: Issuer) -> None:
    """Also after the publisher was removed and registered again, and under other bytes."""
    made = await trust(site, issuer)
    token = issuer.sign(issuer.github(clock.now(), await audience(site)))
    await exchanged(site, token)
    assert (await exchange(site, token)).status == 403
    head, body, signature = token.split(".")
    for other in (f"{head}.{body}.{signature}=", f"{head}.{body}.{signature}A", f" {token}", f"{token}\n"):
        assert (await exchange(site, other)).status == 403, other
    assert (await site.user("alice").delete(f"{TRUSTED}/{made['id']}")).status == 204
    await trust(site, issuer)
    assert (await exchange(site, token)).status == 403
    claims = issuer.github(clock.now(), await audience(site))
    del claims["jti"]
    nameless = issuer.sign(claims)
    await exchanged(site, nameless)
    assert (await exchange(site, nameless)).status == 403
    forget = next(job for job in site.registry.extensions.all("jobs") if job.name == "identity.forget")
    await forget.run()
    assert (await exchange(site, nameless)).status == 403


async def test_one_of_many_at_once(site: World, clock: FakeClock, issuer: Issuer) -> None:
    import asyncio

    await trust(site, issuer)
    token = issuer.sign(issuer.github(clock.now(), await audience(site)))
    answers = await asyncio.gather(*(exchange(site, token) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [200] + [403] * 7


async def test_removing_a_publisher_acts_at_once(site: World, clock: FakeClock, issuer: Issuer) -> None:
    made = await trust(site, issuer)
    build = await exchanged(site, issuer.sign(issuer.github(clock.now(), await audience(site))))
    docker = site.with_headers(basic("gati", build.client.headers["Authorization"].removeprefix("Bearer ")))
    session = await site.token(docker, f"repository:{APP}:pull,push")
    assert (await session.push(APP)).status == 201
    for other in ("bob", "carol"):
        assert (await site.user(other).delete(f"{TRUSTED}/{made['id']}")).status == 404
    assert (await site.user("alice").delete(f"{TRUSTED}/{made['id']}")).status == 204
    for user in (build, docker, session):
        assert (await user.pull(APP)).status == 401
    assert (await exchange(site, issuer.sign(issuer.github(clock.now(), await audience(site))))).status == 403


async def test_who_registers(site: World, issuer: Issuer) -> None:
    body = {"repository": APP, "issuer": issuer.url, "claims": CLAIMS}
    for name in ("bob", "carol"):
        assert (await site.user(name).post(TRUSTED, body)).status == 403
        assert (await site.user(name).get(f"{TRUSTED}?repository={APP}")).status == 403
    assert (await site.nobody.post(TRUSTED, body)).status == 401
    key = await site.user("alice").done("POST", "identity/keys", {"name": "ci", "scopes": ["publish"]})
    assert (await site.bearer(key["key"]).post(TRUSTED, body)).status == 403


MALFORMED: list[dict[str, Any]] = [
    {"claims": {"environment": "release"}}, {"claims": {}}, {"claims": {"sub": ""}}, {"claims": {"sub": 1}},
    {"claims": {"sub": "x", "aud": "y"}}, {"claims": {"sub": "x", "a b": "y"}}, {"actions": []}, {"actions": ["*"]},
    {"repository": "Orgs/acme/app"}, {"issuer": "http://127.0.0.1/"}, {"issuer": "https://"},
    {"issuer": "https://user@issuer.example"}, {"issuer": "https://issuer.example/?x"}, {"issuer": "https://h:0"},
    {"issuer": "https://issuer.example/#x"}, {"issuer": "file:///etc/passwd"}, {"issuer": "https://h:99999"},
]  # fmt: skip


async def test_what_is_no_publisher(site: World, issuer: Issuer) -> None:
    for change in MALFORMED:
        body = {"repository": APP, "issuer": issuer.url, "claims": CLAIMS, **change}
        answer = await site.user("alice").post(TRUSTED, body)
        assert (answer.status, answer.codes) == (400, ["INVALID"]), change


# --- attacks ----------------------------------------------------------------------------------------------------


OTHERS: list[dict[str, Any]] = [
    {"repository": "Acme/App"}, {"repository": "acme/app2"}, {"repository": "acme/ap"}, {"repository": "evil/app"},
    {"repository": "acme/app "}, {"repository": "acme/app\0"}, {"repository": ["acme/app"]}, {"repository": None},
    {"environment": "Release"}, {"environment": ""}, {"environment": "release/"}, {"environment": True},
    {"workflow_ref": "acme/app/.github/workflows/other.yml@refs/tags/v1.0"},
    {"workflow_ref": "acme/app/.github/workflows/release.yml@x@refs/tags/v1.0"},
    {"workflow_ref": "acme/app/.github/workflows/release.yml", "ref": ""},
    {"workflow_ref": "x", "workflow_path": "acme/app/.github/workflows/release.yml"},
    {"aud": "https://other.example"}, {"aud": []}, {"aud": ""}, {"aud": None},
    {"sub": None}, {"exp": 1}, {"exp": None}, {"exp": "soon"}, {"iat": True}, {"nbf": 2**39}, {"iat": 2**39},
    {"exp": 2**39}, {"exp": 1e400}, {"iat": -5}, {"iss": "https://127.0.0.1:1"}, {"iss": None}, {"iss": 7},
]  # fmt: skip


async def test_claims_fit_letter_for_letter(site: World, clock: FakeClock, issuer: Issuer) -> None:
    await trust(site, issuer)
    for claims in OTHERS:
        token = issuer.sign(issuer.github(clock.now(), await audience(site)) | claims)
        answer = await exchange(site, token)
        assert (answer.status, answer.codes) == (403, ["DENIED"]), claims
        assert answer.json()["error"] == "invalid_request"
        assert token not in answer.body.decode()


async def test_audiences(site: World, clock: FakeClock, issuer: Issuer) -> None:
    """Ours alone: not the name that the client calls us by, nor together with others."""
    await trust(site, issuer)
    ours = await audience(site)
    for aud in (["registry.test", ours], [ours, ours], "registry.test", "http://registry.test", ours.upper()):
        token = issuer.sign(issuer.github(clock.now(), ours, aud=aud))
        assert (await exchange(site, token)).status == 403, aud
    await exchanged(site, issuer.sign(issuer.github(clock.now(), ours, aud=[ours])))


async def test_times(site: World, clock: FakeClock, issuer: Issuer) -> None:
    await trust(site, issuer)
    ours, now = await audience(site), clock.now() // 1000
    for times in (
        {"exp": now - 61}, {"iat": now + 120}, {"nbf": now + 120}, {"iat": now - 86401, "exp": now + 900},
        {"exp": now + 86401},
    ):  # fmt: skip
        assert (await exchange(site, issuer.sign(issuer.github(clock.now(), ours) | times))).status == 403, times
    await exchanged(site, issuer.sign(issuer.github(clock.now(), ours) | {"exp": now - 30}))


async def test_signatures(site: World, clock: FakeClock, issuer: Issuer) -> None:
    """No algorithm, another's key, the public key as a secret, keys that the token itself brings."""
    await trust(site, issuer)
    claims = issuer.github(clock.now(), await audience(site))
    own = issuer.keys["rsa"]
    pem = own.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    stranger, curve = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())
    evil = {"jwk": {**public_jwk(stranger), "kid": "rsa"}, "jku": f"{issuer.url}/evil", "x5u": f"{issuer.url}/evil"}

    def forged(header: dict[str, Any], key: bytes = b"") -> str:
        signed = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"
        return f"{signed}.{b64(hmac.digest(key, signed.encode(), 'sha256')) if key else ''}"

    tokens: list[str] = [
        forged({"alg": "none", "kid": "rsa"}),
        forged({"alg": "None", "kid": "rsa"}),
        forged({"kid": "rsa"}),
        forged({"alg": "HS256", "kid": "rsa"}, pem),
        forged({"alg": "HS256", "kid": "rsa"}, base64.urlsafe_b64decode(str(public_jwk(own)["n"]) + "==")),
        forged({"alg": "RS256", "kid": "rsa"}, pem),
        jwt.encode(claims, stranger, algorithm="RS256", headers={"kid": "rsa"}),
        jwt.encode(claims, stranger, algorithm="RS256", headers={"kid": "rsa", **evil}),
        jwt.encode(claims, stranger, algorithm="RS256", headers={"kid": "evil", **evil}),
        jwt.encode(claims, own, algorithm="PS256", headers={"kid": "rsa"}),  # the key set says RS256
        jwt.encode(claims, own, algorithm="RS256"),
        jwt.encode(claims, own, algorithm="RS256", headers={"kid": "ec"}),
        jwt.encode(claims, own, algorithm="RS256", headers={"kid": "../jwks?v=1"}),
        jwt.encode(claims, own, algorithm="RS256", headers={"kid": "https://evil.example/key"}),
        jwt.encode(claims, own, algorithm="RS256", headers={"kid": "' OR 1=1 --"}),
        jwt.encode(claims, own, algorithm="RS256", headers={"kid": "rsa", "crit": ["exp"], "exp": 1}),
        jwt.encode(claims, curve, algorithm="ES256", headers={"kid": "ec"}),
        issuer.sign(claims)[:-6] + "AAAAAA",
        "", ".", "..", "e.e", "e.e.e", "ey.ey.ey", forged({"alg": "RS256", "kid": ["rsa"]}, b"x"),
    ]  # fmt: skip
    issuer.asked.clear()
    for number, token in enumerate(tokens):
        answer = await exchange(site, token)
        assert answer.status in (400, 403), (number, answer)
    assert "/evil" not in issuer.asked
    await exchanged(site, issuer.sign(claims))


async def test_keys_that_verify_nothing(site: World, clock: FakeClock, issuer: Issuer) -> None:
    """Symmetric, too short, for encryption, malformed: as if they were not there."""
    await trust(site, issuer)
    weak = rsa.generate_private_key(65537, 1024)
    secret = b"a secret of the issuer's, 32 octets"
    jwks: list[Any] = [
        {"kty": "oct", "k": b64(secret), "kid": "oct", "alg": "HS256"},
        {**public_jwk(weak), "kid": "weak"},
        {**public_jwk(issuer.keys["rsa"]), "kid": "enc", "use": "enc"},
        {**public_jwk(issuer.keys["rsa"]), "kid": "odd", "alg": "HS256"},
        {"kty": "RSA", "kid": "bad", "n": "!", "e": "AQAB"}, {"kty": "EC", "crv": "P-256", "kid": "bad2"}, "text", {},
    ]  # fmt: skip
    issuer.jwks = jwks
    clock.advance(11)
    claims = issuer.github(clock.now(), await audience(site))
    with pytest.warns(InsecureKeyLengthWarning):
        short = jwt.encode(claims, weak, algorithm="RS256", headers={"kid": "weak"})
    for token in (
        jwt.encode(claims, secret, algorithm="HS256", headers={"kid": "oct"}),
        short,
        jwt.encode(claims, issuer.keys["rsa"], algorithm="RS256", headers={"kid": "enc"}),
        jwt.encode(claims, issuer.keys["rsa"], algorithm="RS256", headers={"kid": "odd"}),
    ):
        assert (await exchange(site, token)).status == 403
        clock.advance(11)


async def test_the_issuers_keys_change(site: World, clock: FakeClock, issuer: Issuer) -> None:
    """A new one is found, one that was taken away ends, and nobody can make us ask again and again."""
    await trust(site, issuer)
    ours = await audience(site)
    await exchanged(site, issuer.sign(issuer.github(clock.now(), ours)))
    issuer.keys["new"] = ec.generate_private_key(ec.SECP256R1())
    issuer.asked.clear()
    for _ in range(5):
        assert (await exchange(site, issuer.sign(issuer.github(clock.now(), ours), "new"))).status == 403
    assert issuer.asked == []
    clock.advance(11)
    await exchanged(site, issuer.sign(issuer.github(clock.now(), ours), "new"))
    token = issuer.sign(issuer.github(clock.now(), ours))
    gone = issuer.keys.pop("rsa")
    clock.advance(601)
    assert (await exchange(site, token)).status == 403
    issuer.keys["rsa"] = gone
    issuer.down = True
    clock.advance(601)
    await exchanged(site, issuer.sign(issuer.github(clock.now(), ours), "new"))  # for a while without the issuer
    clock.advance(3600)
    issuer.asked.clear()
    for _ in range(3):  # nor is one that does not answer asked again and again
        answer = await exchange(site, issuer.sign(issuer.github(clock.now(), ours), "new"))
        assert (answer.status, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert len(issuer.asked) == 1


ELSEWHERE: list[dict[str, Any]] = [
    {"issuer": "https://127.0.0.1:1"}, {"jwks_uri": None}, {"jwks_uri": "http://127.0.0.1/jwks"},
    {"jwks_uri": "file:///etc/passwd"}, {"jwks_uri": "https://169.254.169.254/latest/meta-data/"},
    {"jwks_uri": "https://10.0.0.1/jwks"}, {"jwks_uri": "https://[::1]/jwks"},
]  # fmt: skip


async def test_discovery_leads_nowhere_else(site: World, issuer: Issuer) -> None:
    for discovery in ELSEWHERE:
        issuer.discovery = discovery
        body = {"repository": APP, "issuer": issuer.url, "claims": CLAIMS}
        answer = await site.user("alice").post(TRUSTED, body)
        assert (answer.status, answer.codes) == (400, ["INVALID"]), discovery


INSIDE = ["10.0.0.1", "169.254.169.254", "[::1]", "[fd00::1]", "192.168.0.1:6443", "[::ffff:10.0.0.1]", "0.0.0.0"]


async def test_an_issuer_inside_is_not_asked(site: World) -> None:
    for host in INSIDE:
        body = {"repository": APP, "issuer": f"https://{host}", "claims": CLAIMS}
        answer = await site.user("alice").post(TRUSTED, body)
        assert (answer.status, answer.codes) == (400, ["INVALID"]), host


async def test_loopback_is_inside_unless_it_is_named(folder: Path, clock: FakeClock, issuer: Issuer) -> None:
    async with peopled(folder, clock, "alice", "bob", settings={"identity.issuer_ca": str(issuer.ca)}) as built:
        body = {"repository": APP, "issuer": issuer.url, "claims": CLAIMS}
        answer = await built.user("alice").post(TRUSTED, body)
        assert (answer.status, issuer.asked) == (400, [])


NO_EXCHANGE: list[tuple[dict[str, str], str]] = [
    ({"grant_type": "password"}, "unsupported_grant_type"), ({"subject_token_type": "x"}, "invalid_request"),
    ({"requested_token_type": "x"}, "invalid_request"), ({"actor_token": "x"}, "invalid_request"),
    ({"token": "a" * 17_000}, "invalid_request"), ({"scope": "x" * 2000}, "invalid_request"),
]  # fmt: skip


async def test_what_is_no_exchange(site: World) -> None:
    for change, error in NO_EXCHANGE:
        fields = {"token": "e.e.e", **change}
        answer = await exchange(site, fields.pop("token"), **fields)
        assert (answer.status, answer.json()["error"]) == (400, error), change
