"""Authentication and authorization, where credentials are given.

Source: RFC 9110, 11; RFC 7617 (Basic); the token protocol of Docker's registry, as every client speaks it.
"""

from __future__ import annotations

import json
import re
from datetime import datetime

from gati_conformance import checks
from gati_conformance.challenge import Challenge, basic, parse_challenges
from gati_conformance.client import Answer
from gati_conformance.context import Context
from gati_conformance.data import blob, simple_image, token
from gati_conformance.model import Group, Level, Skipped

group = Group(
    "auth",
    source="RFC 9110, 11; Docker registry token protocol",
    level=Level.EXPECTED,
    requires=("credentials",),
)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
SHORTEST_TOKEN = 60  # seconds; clients assume it where expires_in is missing


def _anonymous(ctx: Context, method: str, path: str) -> Answer:
    return ctx.client.request(method, path, authorization="")


def _challenge(answer: Answer) -> Challenge:
    """The first challenge of a 401. Raises Failed without one."""
    found = parse_challenges(answer.header("www-authenticate"))
    checks.require(bool(found), f"{answer}: 401 without WWW-Authenticate")
    return found[0]


def _closed(ctx: Context) -> Challenge:
    """The challenge of /v2/. Raises Skipped where anonymous callers are welcome."""
    answer = _anonymous(ctx, "GET", "/v2/")
    if answer.status == 200:
        raise Skipped("anonymous callers get 200 on /v2/: nothing asks for the credentials")
    return _challenge(checks.status(answer, 401))


def _login(ctx: Context) -> str:
    return basic(ctx.config.username, ctx.config.password)


def _tokens(ctx: Context) -> Challenge:
    """The Bearer challenge of /v2/. Raises Skipped where there is none."""
    challenge = _closed(ctx)
    if challenge.scheme != "bearer":
        raise Skipped(f"the registry asks for {challenge.scheme}, not for a token")
    return challenge


def _token(ctx: Context, challenge: Challenge, *scopes: str, login: str | None = None) -> Answer:
    realm, service = challenge.parameters["realm"], challenge.parameters.get("service", "")
    return ctx.client.token(realm, service, scopes, _login(ctx) if login is None else login)


@group.case("challenge", "Anonymous callers of /v2/ get 401 with a challenge and the code UNAUTHORIZED")
def _shape(ctx: Context) -> None:
    challenge = _closed(ctx)
    checks.require(challenge.scheme in ("basic", "bearer"), f"the scheme is {challenge.scheme}")
    realm = challenge.parameters.get("realm", "")
    checks.require(bool(realm), "the challenge has no realm")
    checks.error(_anonymous(ctx, "GET", "/v2/"), 401, "UNAUTHORIZED")
    if challenge.scheme == "bearer":
        checks.require(realm.startswith(("http://", "https://")), f"the realm {realm} is not absolute")
        checks.require(bool(challenge.parameters.get("service")), "the challenge names no service")


@group.case("challenge-scope", "A Bearer challenge names the scope that the request needs", requires=("apis.push",))
def _scope(ctx: Context) -> None:
    _tokens(ctx)
    for method, path, action in (
        ("POST", ctx.uploads_path(), "push"),
        ("PUT", ctx.manifest_path("latest"), "push"),
        ("DELETE", ctx.manifest_path("latest"), "delete"),
    ):
        answer = checks.status(_anonymous(ctx, method, path), 401)
        scopes = _challenge(answer).scopes
        mine = [scope for scope in scopes if scope.startswith(f"repository:{ctx.repo}:")]
        actions = {action for scope in mine for action in scope.rpartition(":")[2].split(",")}
        checks.require(bool(actions & {action, "*"}), f"{answer}: scope {scopes}, expected {action}")


@group.case(
    "anonymous-push", "Nobody pushes without credentials, and nothing is left of the attempt", requires=("apis.push",)
)
def _anonymous_push(ctx: Context) -> None:
    _closed(ctx)
    tag, artifact = ctx.tag(), simple_image(layers=0)
    path = ctx.manifest_path(tag)
    headers = {"Content-Type": artifact.manifest.media_type}
    answer = ctx.client.request("PUT", path, headers=headers, content=artifact.manifest.data, authorization="")
    checks.status(answer, 401)
    checks.status(_anonymous(ctx, "POST", ctx.uploads_path()), 401)
    checks.status(_anonymous(ctx, "DELETE", path), 401)
    checks.status(ctx.head(path), 404)


@group.case(
    "large-body", "A large body without credentials is 401, and the next request works", requires=("apis.push",)
)
def _large_body(ctx: Context) -> None:
    _closed(ctx)
    content = blob(4 * 1024 * 1024)
    path = ctx.uploads_path(f"?digest={content.digest}")
    for _ in range(2):
        answer = ctx.client.request("POST", path, content=content.data, authorization="")
        checks.status(answer, 401)
    checks.status(ctx.get("/v2/"), 200)


@group.case("login", "The credentials open /v2/")
def _good(ctx: Context) -> None:
    _closed(ctx)
    checks.status(ctx.get("/v2/"), 200)


@group.case(
    "login-basic",
    "Basic credentials straight on /v2/ work, whatever the challenge asks for",
    source="clients: curl, scripts",
)
def _basic(ctx: Context) -> None:
    _closed(ctx)
    checks.status(ctx.client.request("GET", "/v2/", authorization=_login(ctx)), 200)


@group.case("wrong-password", "A wrong password or an unknown user is 401, never anonymous access")
def _wrong(ctx: Context) -> None:
    challenge = _closed(ctx)
    wrong = (
        basic(ctx.config.username, ctx.config.password + "x"),
        basic(ctx.config.username, ""),
        basic(f"nobody-{token()}", ctx.config.password),
    )
    for value in wrong:
        if challenge.scheme == "bearer":
            checks.status(_token(ctx, challenge, f"repository:{ctx.repo}:pull", login=value), 401)
        else:
            _challenge(checks.status(ctx.client.request("GET", "/v2/", authorization=value), 401))


@group.case("malformed-authorization", "An Authorization header that cannot be read is 401 or 400")
def _malformed(ctx: Context) -> None:
    _closed(ctx)
    for value in ("Basic", "Basic !!!", "Basic bm9jb2xvbg==", "Bearer", "Bearer x.y.z", "Digest x=y", "nonsense"):
        checks.status(ctx.client.request("GET", "/v2/", authorization=value), 401, 400)


@group.case("token-answer", "The token service answers token or access_token, with its lifetime")
def _token_answer(ctx: Context) -> None:
    answer = checks.status(_token(ctx, _tokens(ctx), f"repository:{ctx.repo}:pull,push"), 200)
    document = answer.json()
    checks.require(bool(document.get("token") or document.get("access_token")), f"{answer}: no token")
    if "expires_in" in document:
        lifetime = document["expires_in"]
        checks.require(isinstance(lifetime, int) and lifetime >= SHORTEST_TOKEN, f"expires_in is {lifetime!r}")
    if "issued_at" in document:
        checks.require(bool(TIME.fullmatch(document["issued_at"])), f"issued_at is {document['issued_at']!r}")
        datetime.fromisoformat(document["issued_at"].replace("Z", "+00:00"))


@group.case(
    "token-too-narrow", "A token for pulling does not push: 401 or 403, with what it lacks", requires=("apis.push",)
)
def _narrow(ctx: Context) -> None:
    granted = checks.status(_token(ctx, _tokens(ctx), f"repository:{ctx.repo}:pull"), 200).json()
    value = f"Bearer {granted.get('token') or granted.get('access_token')}"
    answer = ctx.client.request("POST", ctx.uploads_path(), authorization=value)
    checks.status(answer, 401, 403)
    if answer.status == 401:
        checks.require(
            any(scope.startswith(f"repository:{ctx.repo}:") for scope in _challenge(answer).scopes),
            f"{answer}: the challenge does not name the scope that is missing",
        )


@group.case("token-tampered", "A token with another payload is refused")
def _tampered(ctx: Context) -> None:
    granted = checks.status(_token(ctx, _tokens(ctx), f"repository:{ctx.repo}:pull"), 200).json()
    value = str(granted.get("token") or granted.get("access_token"))
    middle = len(value) // 2
    changed = value[:middle] + ("A" if value[middle] != "A" else "B") + value[middle + 1 :]
    checks.status(ctx.client.request("GET", "/v2/", authorization=f"Bearer {changed}"), 401)


@group.case(
    "absent-like-private",
    "To anonymous callers, a repository that is absent looks like one that is private",
    requires=("apis.push", "apis.pull", "data.image"),
)
def _absent_like_private(ctx: Context) -> None:
    tag, unknown = ctx.tag(), ctx.unknown_repo()
    manifest = ctx.push_image(tag)
    private = _anonymous(ctx, "GET", ctx.manifest_path(tag))
    if private.status == 200:
        raise Skipped("the repository is public")
    paths = (
        (ctx.manifest_path(tag), ctx.manifest_path(tag, unknown)),
        (ctx.tags_path(), ctx.tags_path(repo=unknown)),
        (ctx.referrers_path(manifest.digest), ctx.referrers_path(manifest.digest, repo=unknown)),
        (ctx.blob_path(manifest.digest), ctx.blob_path(manifest.digest, unknown)),
    )
    for here, there in paths:
        seen, unseen = _anonymous(ctx, "GET", here), _anonymous(ctx, "GET", there)
        same = (seen.status, _codes(seen)) == (unseen.status, _codes(unseen))
        checks.require(same, f"{seen}: {seen.status}, but {unseen.status} for a repository that is not there")


def _codes(answer: Answer) -> list[str]:
    """The codes of an error body; the whole body, where it is none."""
    try:
        return [str(item["code"]) for item in json.loads(answer.body)["errors"]]
    except (ValueError, KeyError, TypeError):
        return [answer.body.decode(errors="replace")]
