"""Logging in by a provider, in a browser; identities that an account is linked to."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Protocol

from pydantic import AfterValidator, Field

from gati_extensions.guarded import WebFetcher
from gati_extensions.identity import external
from gati_extensions.identity.external import External, Terms
from gati_extensions.identity.federation import attempt as attempts
from gati_extensions.identity.federation.attempt import Attempt
from gati_extensions.identity.federation.settings import Provider, read_secret
from gati_extensions.identity.federation.web import Web
from gati_extensions.identity.model import LinkView
from gati_extensions.identity.names import NewName
from gati_extensions.identity.parts import Parts, absent, require_full
from gati_extensions.identity.routes.credentials import link_view
from gati_extensions.identity.routes.sessions import begin_session
from gati_extensions.identity.store import links
from gati_extensions.identity.store.accounts import AccountRow
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Action, Answer, Call, Model, Page, Permission, Route, Transaction

_LONGEST_CODE = 4096


class Source(Protocol):
    """A kind of provider."""

    async def location(self, attempt: Attempt, redirect_uri: str) -> str:
        """Where the browser is sent to log in."""

    async def identify(self, attempt: Attempt, redirect_uri: str, answer: Mapping[str, str]) -> External:
        """Who came back with a code.

        Raises:
            RegistryError: UNAUTHORIZED, or UNAVAILABLE.
        """


def _local(path: str) -> str:
    if not attempts.is_local(path):
        raise ValueError("must be a path of this registry, such as /")
    return path


class ProviderView(Model):
    """A provider that users log in by."""

    id: str
    kind: str
    title: str
    login: str = Field(description="Where a browser is sent to log in; takes return_to.")


class Begin(Model):
    """Where to go afterwards; what a new account is called if its name at the provider is taken here."""

    return_to: Annotated[str, AfterValidator(_local)] = "/"
    name: NewName | None = None


class Returned(Model):
    """What a provider sends a browser back with (RFC 6749 section 4.1.2, RFC 9207)."""

    code: Annotated[str, Field(max_length=_LONGEST_CODE)] = ""
    state: Annotated[str, Field(max_length=200)] = ""
    iss: Annotated[str, Field(max_length=1000)] = ""
    error: Annotated[str, Field(max_length=1000)] = ""


class Location(Model):
    """Where the page has to send the browser."""

    location: str


Providers = Page[ProviderView]
Links = Page[LinkView]


@dataclass(frozen=True, slots=True)
class _Known:
    provider: Provider
    source: Source


class FederationRoutes:
    """Handlers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._providers = {provider.id: provider for provider in parts.settings.providers}
        self._sources: dict[str, _Known] = {}
        self._fetcher: WebFetcher | None = None

    def routes(self) -> list[Route]:
        """Below the extension's prefix."""
        public = Permission("identity.login", Action.PUBLIC)
        own = Permission("identity.links", Action.SIGN_IN)
        one = "federation/{provider}"
        return [
            Route("GET", "federation", public, self.list, "Providers to log in by.", answer=Providers),
            Route("GET", f"{one}/login", public, self.login, "Log in at a provider, in a browser.", query=Begin),
            Route("GET", f"{one}/callback", public, self.callback, "Come back from a provider.", query=Returned),
            Route("POST", f"{one}/link", own, self.link, "Link an identity.", query=Begin, answer=Location),
            Route("GET", "me/links", own, self.links, "Identities that you log in by.", answer=Links),
            Route("DELETE", "me/links/{id}", own, self.unlink, "Unlink an identity."),
        ]

    async def list(self, call: Call) -> Providers:
        """As the login page shows them."""
        items = [
            ProviderView(
                id=found.id, kind=found.kind, title=found.title or found.id, login=self._url(call, found.id, "login")
            )
            for found in self._providers.values()
        ]
        return Providers(items=items)

    # --- logging in ---------------------------------------------------------------------------------------------

    async def login(self, call: Call) -> Answer:
        """To the provider, with a cookie that binds the way back to this browser."""
        wanted: Begin = call.query
        known, now = self._known(call), self._parts.kernel.clock.now()
        attempt = Attempt.begin(known.provider.id, now, wanted.return_to, wanted.name or "")
        location = await known.source.location(attempt, self._url(call, known.provider.id, "callback"))
        return _go(location, attempts.cookie(attempt.value, secure=_is_secure(call)))

    async def link(self, call: Call) -> Answer:
        """From a session of the browser's own. The page then goes to the provider."""
        wanted: Begin = call.query
        session = self._session(call)
        if session is None:
            raise RegistryError(Code.DENIED, "identities are linked in a browser's session; log in there")
        known, now = self._known(call), self._parts.kernel.clock.now()
        attempt = Attempt.begin(known.provider.id, now, wanted.return_to, session=session)
        location = await known.source.location(attempt, self._url(call, known.provider.id, "callback"))
        cookie = attempts.cookie(attempt.value, secure=_is_secure(call))
        return Answer(200, Location(location=location), cookies=(cookie,))

    async def callback(self, call: Call) -> Answer:
        """A new session, or an identity linked to the account of the present one."""
        answer: Returned = call.query
        known, now = self._known(call), self._parts.kernel.clock.now()
        attempt = attempts.of_cookies(call.header("cookie"), secure=_is_secure(call))
        if attempt is None or attempt.provider != known.provider.id or now >= attempt.until:
            raise RegistryError(Code.UNAUTHORIZED, "no login was begun here, or too long ago; begin again")
        if not _same(answer.state, attempt.state):
            raise RegistryError(Code.UNAUTHORIZED, "the answer is not to the login that was begun here; begin again")
        if answer.error or not answer.code:
            word = re.sub(r"[^a-z_]", "", answer.error)[:60] or "nothing"
            raise RegistryError(Code.UNAUTHORIZED, f"the provider answers {word}; begin again")
        session = self._session(call)
        if attempt.proof and (session is None or not attempt.is_of_session(session)):
            raise RegistryError(
                Code.UNAUTHORIZED, "the session in which this was begun has ended; log in and begin again"
            )
        returned = {"code": answer.code, **({"iss": answer.iss} if answer.iss else {})}
        who = await known.source.identify(attempt, self._url(call, known.provider.id, "callback"), returned)
        cookies = [attempts.cookie("", secure=_is_secure(call))]
        if attempt.proof:
            await self._link(call, who)
        else:
            account = await self._admit(call, known.provider, who, attempt.name)
            _, _, cookie = await begin_session(self._parts, call, account, "oauth2")
            cookies.append(cookie)
        return _go(attempt.return_to, *cookies)

    async def _admit(self, call: Call, provider: Provider, who: External, chosen: str) -> AccountRow:
        create = provider.create_accounts or self._parts.settings.signup == "open"
        terms = Terms(create, provider.groups, chosen)
        return await self._parts.revision.write(lambda tx: external.admit(self._parts, tx, call.caller, who, terms))

    async def _link(self, call: Call, who: External) -> None:
        async def work(tx: Transaction) -> None:
            account = await self._parts.caller(tx, call)
            found = await links.find(tx, who.issuer, who.subject)
            if found is None or found.account_id != account.id:
                await external.link_to(self._parts, tx, call.caller, account, who)

        await self._parts.revision.write(work)

    # --- links --------------------------------------------------------------------------------------------------

    async def links(self, call: Call) -> Links:
        """By id."""

        async def work(tx: Transaction) -> Links:
            account = await self._parts.caller(tx, call)
            return Links(items=[link_view(link) for link in await links.of_account(tx, account.id)])

        return await self._parts.kernel.database.read(work)

    async def unlink(self, call: Call) -> None:
        """One of the caller's; not the last way in."""
        require_full(call)
        link_id = call.parameters["id"]

        async def work(tx: Transaction) -> None:
            account = await self._parts.caller(tx, call)
            held = await links.of_account(tx, account.id)
            found = next((link for link in held if link.id == link_id), None)
            if found is None:
                raise absent("link", link_id)
            if found.provider == "ldap":
                raise RegistryError(Code.CONFLICT, "the account is the directory's")
            if account.password is None and len(held) == 1:
                raise RegistryError(Code.CONFLICT, "this is the only way into the account; link another first")
            await links.drop(tx, link_id)
            await self._parts.note(
                tx,
                call.caller,
                "link",
                "delete",
                link_id,
                namespace=account.namespace,
                before={"provider": found.provider},
            )

        await self._parts.revision.write(work)

    # --- inside -------------------------------------------------------------------------------------------------

    def _session(self, call: Call) -> str | None:
        """The secret of the session that the caller is in."""
        return self._parts.sessions.cookie(call.exchange) if call.identity.method == "session" else None

    def _known(self, call: Call) -> _Known:
        name = call.parameters["provider"]
        provider = self._providers.get(name)
        if provider is None:
            raise absent("provider", name)
        known = self._sources.get(name)
        if known is None:
            known = self._sources[name] = _Known(provider, self._source(provider))
        return known

    def _source(self, provider: Provider) -> Source:
        """Made when it is first asked: until then it costs nothing."""
        from gati_extensions.identity.federation.github import GitHub
        from gati_extensions.identity.federation.oidc import Oidc

        kernel = self._parts.kernel
        if self._fetcher is None:
            self._fetcher = WebFetcher(networks=self._parts.settings.allowed_networks)
        web, secret = Web(self._fetcher, provider.id, kernel.log), read_secret(provider.client_secret_file)
        return GitHub(provider, secret, web) if provider.kind == "github" else Oidc(provider, secret, web, kernel.clock)

    def _url(self, call: Call, provider: str, what: str) -> str:
        """An address of ours, always under the configured URL: what a request says of its host is not looked at."""
        return f"{self._parts.kernel.public_url}/v2/_ext/identity/federation/{provider}/{what}"


def _go(location: str, *cookies: str) -> Answer:
    """A redirect that tells nobody where it came from."""
    return Answer(303, headers={"Location": location, "Referrer-Policy": "no-referrer"}, cookies=cookies)


def _is_secure(call: Call) -> bool:
    return call.origin.startswith("https:")


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
