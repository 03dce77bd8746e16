"""Registering trusted publishers, and the exchange of a build's token.

Source: RFC 8693 section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gati_extensions.guarded import Lookup
from gati_extensions.identity import grants, secret
from gati_extensions.identity.hooks import identity_of_exchanged
from gati_extensions.identity.model import optional_time_of, time_of
from gati_extensions.identity.oauth import Form, OAuthError
from gati_extensions.identity.parts import Parts, absent, require_full
from gati_extensions.identity.publishers import assertion, model, store
from gati_extensions.identity.publishers.issuers import Issuers
from gati_extensions.identity.publishers.store import Exchanged, Publisher
from gati_extensions.identity.store import accounts
from gati_extensions.identity.store.accounts import AccountRow
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Access, Action, Answer, Call, Decision, Permission, Route, Transaction

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - the name of a kind
SUBJECT_TYPES = frozenset({"urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token"})

LIFE = 3600
"""Seconds that a build's token lives."""

MOST_PUBLISHERS = 100
"""Of one repository."""


class PublisherRoutes:
    """Handlers."""

    def __init__(self, parts: Parts, issuers: Issuers) -> None:
        self._parts = parts
        self._issuers = issuers

    def routes(self) -> list[Route]:
        """Below the extension's prefix."""
        own = Permission("identity.publishers", Action.SIGN_IN)
        public = Permission("identity.exchange", Action.PUBLIC)
        new, view, query = model.NewPublisher, model.PublisherView, model.PublisherQuery
        base, page, given = "trusted-publishers", model.Publishers, model.Given
        return [
            Route("POST", base, own, self.register, "Trust a build.", new, answer=view, status=201),
            Route("GET", base, own, self.list, "Builds that a repository trusts.", query=query, answer=page),
            Route("DELETE", f"{base}/{{id}}", own, self.remove, "Trust a build no more."),
            Route("GET", "exchange", public, self.audience, "Whom a build's token must be for.", answer=model.Audience),
            Route("POST", "exchange", public, self.exchange, "Exchange a build's token (a form).", answer=given),
        ]

    # --- publishers ---------------------------------------------------------------------------------------------

    async def register(self, call: Call) -> model.PublisherView:
        """By whoever administers the repository. The issuer is asked for its keys once, to see that it is there."""
        wanted: model.NewPublisher = call.body
        require_full(call)
        await self._require(call, wanted.repository)
        try:
            await self._issuers.check(wanted.issuer)
        except Lookup as error:
            raise RegistryError(Code.INVALID, f"issuer: {error}") from None
        now = self._parts.kernel.clock.now()

        async def work(tx: Transaction) -> tuple[Publisher, AccountRow]:
            caller = await self._parts.caller(tx, call)
            account = await _owner(tx, wanted.repository) or caller
            if len(await store.of_repository(tx, wanted.repository, "", MOST_PUBLISHERS)) == MOST_PUBLISHERS:
                raise RegistryError(Code.CONFLICT, f"a repository trusts at most {MOST_PUBLISHERS}; remove some")
            publisher = Publisher(
                id=secret.new_id("p"),
                account_id=account.id,
                repository=wanted.repository,
                name=wanted.name,
                issuer=wanted.issuer,
                claims=wanted.claims,
                actions=tuple(dict.fromkeys(wanted.actions)),
                created_at=now,
                used_at=None,
            )
            await store.add(tx, publisher)
            await self._parts.note(
                tx,
                call.caller,
                "publisher",
                "create",
                publisher.id,
                namespace=publisher.repository,
                after=_told(publisher),
            )
            return publisher, account

        publisher, account = await self._parts.revision.write(work)
        return _view(publisher, account.name)

    async def list(self, call: Call) -> model.Publishers:
        """By id."""
        query: model.PublisherQuery = call.query
        await self._require(call, query.repository)

        async def work(tx: Transaction) -> model.Publishers:
            rows = await store.of_repository(tx, query.repository, query.cursor, query.limit + 1)
            items = []
            for row in rows[: query.limit]:
                account = await accounts.get(tx, row.account_id)
                items.append(_view(row, account.name if account is not None else ""))
            return model.Publishers(items=items, next=items[-1].id if len(rows) > query.limit else None)

        return await self._parts.kernel.database.read(work)

    async def remove(self, call: Call) -> None:
        """The tokens that its builds have end at once."""
        require_full(call)
        publisher_id = call.parameters["id"]
        publisher = await self._parts.kernel.database.read(lambda tx: store.get(tx, publisher_id))
        if publisher is None or not await self._administers(call, publisher.repository):
            raise absent("trusted publisher", publisher_id)

        async def work(tx: Transaction) -> None:
            await store.drop(tx, publisher_id)
            await self._parts.note(
                tx,
                call.caller,
                "publisher",
                "delete",
                publisher_id,
                namespace=publisher.repository,
                before=_told(publisher),
            )

        await self._parts.revision.write(work)

    async def _require(self, call: Call, repository: str) -> None:
        if not await self._administers(call, repository):
            raise RegistryError(Code.DENIED, f"this is for whoever administers {repository}")

    async def _administers(self, call: Call, repository: str) -> bool:
        found = await self._parts.kernel.access.decide(call.identity, Access(Action.ADMINISTER, repository))
        return found is Decision.ALLOW

    # --- exchange -----------------------------------------------------------------------------------------------

    async def audience(self, call: Call) -> model.Audience:
        """The setting, or this registry's own name: nobody else's, whatever name it is reached under."""
        return model.Audience(audience=await self._audience())

    async def _audience(self) -> str:
        return self._parts.settings.audience or await self._parts.tokens.issuer()

    async def exchange(self, call: Call) -> Answer:
        """A token for the one repository of a publisher that the build's token fits; that is then spent."""
        form = Form(await call.form())
        if form.get("grant_type", 100) != GRANT:
            raise OAuthError("unsupported_grant_type", f"grant_type must be {GRANT}")
        if form.get("subject_token_type", 100) not in SUBJECT_TYPES:
            raise OAuthError("invalid_request", f"subject_token_type must be one of {', '.join(sorted(SUBJECT_TYPES))}")
        if form.get("requested_token_type", 100) not in ("", ACCESS_TOKEN) or form.get("actor_token", 10):
            raise OAuthError("invalid_request", "only an access token is given, and nobody acts for another")
        token = form.get("subject_token", assertion.LONGEST)
        wanted = _wanted(form.get("scope", 1000))
        found = await self._verified(token)
        facts = assertion.facts(found.claims)
        database, now = self._parts.kernel.database, self._parts.kernel.clock.now()
        publishers = await database.read(lambda tx: store.matching(tx, found.issuer, facts))
        publisher, actions = _chosen(publishers, wanted)
        text = secret.make(secret.EXCHANGED)
        exchanged = Exchanged(secret.new_id("x"), publisher, actions, now, now + LIFE * 1000)
        until = found.expires_at + assertion.SKEW * 1000

        async def work(tx: Transaction) -> None:
            account = await accounts.get(tx, publisher.account_id)
            if account is None or not account.active or await store.get(tx, publisher.id) is None:
                raise assertion.refused("the publisher is no longer trusted")
            if not await store.spend(tx, exchanged, secret.hashed(text), found.mark, until):
                raise assertion.refused("the token was exchanged before; let the build ask for another")
            caller = replace(call.caller, identity=identity_of_exchanged(exchanged, account))
            said = {name: facts[name][:MOST_TOLD] for name in ("sub", *publisher.claims) if name in facts}
            told = {"publisher": publisher.id, "actions": list(actions), "claims": said}
            await self._parts.note(
                tx, caller, "publisher", "exchange", exchanged.id, namespace=publisher.repository, after=told
            )

        await database.write(work)
        answer = model.Given(
            access_token=text,
            issued_token_type=ACCESS_TOKEN,
            token_type="Bearer",  # noqa: S106 - its kind
            expires_in=LIFE,
            scope=f"repository:{publisher.repository}:{','.join(actions)}",
        )
        return Answer(200, answer, headers={"Pragma": "no-cache"})

    async def _verified(self, token: str) -> assertion.Assertion:
        issuer = assertion.issuer_of(token)
        if not await self._parts.kernel.database.read(lambda tx: store.is_issuer(tx, issuer)):
            raise assertion.refused("no repository trusts builds of this issuer")
        now = self._parts.kernel.clock.now()
        return await assertion.verified(token, issuer, self._issuers, await self._audience(), now)


MOST_TOLD = 500
"""Characters of a claim that the audit log keeps."""


def _wanted(scope: str) -> grants.Wanted | None:
    found = grants.parse([scope])
    if not scope.split():
        return None
    if len(found) != 1 or len(scope.split()) != 1 or found[0].type != "repository":
        raise OAuthError("invalid_scope", "scope must be one repository:NAME:pull,push")
    return found[0]


def _chosen(publishers: Sequence[Publisher], wanted: grants.Wanted | None) -> tuple[Publisher, tuple[str, ...]]:
    """The publisher to act as, and what it may do: what was asked for, and nothing beyond its rights."""
    if wanted is not None:
        publishers = [one for one in publishers if one.repository == wanted.name]
    if not publishers:
        raise assertion.refused("no trusted publisher fits the token's claims; compare them letter for letter")
    if len({one.repository for one in publishers}) > 1:
        raise OAuthError("invalid_request", "several repositories trust this build: name one in scope")
    asked = tuple(dict.fromkeys(wanted.actions)) if wanted is not None else ()
    for publisher in publishers:
        if set(asked) <= set(publisher.actions):
            return publisher, asked or publisher.actions
    raise OAuthError(
        "invalid_scope", "the publisher was not given these actions", code=Code.DENIED, status=Code.DENIED.value.status
    )


async def _owner(tx: Transaction, repository: str) -> AccountRow | None:
    """The account that owns a repository's namespace; None where that is nobody's, as `library`."""
    top, _, rest = repository.partition("/")
    kind = {"users": "user", "local": "user", "orgs": "org"}.get(top)
    account = await accounts.find(tx, rest.partition("/")[0]) if kind is not None else None
    return account if account is not None and account.kind == kind and account.active else None


def _view(publisher: Publisher, account: str) -> model.PublisherView:
    return model.PublisherView(
        id=publisher.id,
        account=account,
        repository=publisher.repository,
        name=publisher.name,
        issuer=publisher.issuer,
        claims=dict(publisher.claims),
        actions=list(publisher.actions),  # type: ignore[arg-type]  # as the store keeps them
        created_at=time_of(publisher.created_at),
        used_at=optional_time_of(publisher.used_at),
    )


def _told(publisher: Publisher) -> dict[str, object]:
    return {"issuer": publisher.issuer, "claims": dict(publisher.claims), "actions": list(publisher.actions)}
