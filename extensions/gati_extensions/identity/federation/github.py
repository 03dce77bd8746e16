"""GitHub and GitHub Enterprise Server: OAuth 2, and the REST API for who it is.

Sources: docs.github.com, "Authorizing OAuth apps" and "REST API endpoints for users, emails, organizations, teams".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gati_extensions.identity.external import External
from gati_extensions.identity.federation.attempt import Attempt
from gati_extensions.identity.federation.settings import ISSUERS, Provider
from gati_extensions.identity.federation.web import Web, text_of

PAGE, MOST_PAGES = 100, 10

_VERSION = "2022-11-28"


class GitHub:
    """Logins at GitHub. Groups are organizations (`acme`) and their teams (`acme/developers`)."""

    def __init__(self, provider: Provider, secret: str, web: Web) -> None:
        self._provider = provider
        self._secret = secret
        self._web = web
        self._base = provider.issuer.rstrip("/")
        own = self._base == ISSUERS["github"]
        self._api = "https://api.github.com" if own else f"{self._base}/api/v3"

    async def location(self, attempt: Attempt, redirect_uri: str) -> str:
        """Where the browser is sent."""
        from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
        from authlib.oauth2.rfc7636 import create_s256_code_challenge

        scopes = ["read:user", "user:email", *(["read:org"] if self._asks_groups else [])]
        uri: str = prepare_grant_uri(
            f"{self._base}/login/oauth/authorize",
            self._provider.client_id,
            "code",
            redirect_uri=redirect_uri,
            scope=list(self._provider.scopes or scopes),
            state=attempt.state,
            code_challenge=create_s256_code_challenge(attempt.verifier),
            code_challenge_method="S256",
        )
        return uri

    async def identify(self, attempt: Attempt, redirect_uri: str, answer: Mapping[str, str]) -> External:
        """Who came back with a code.

        Raises:
            RegistryError: UNAUTHORIZED, or UNAVAILABLE.
        """
        tokens = await self._web.post(
            f"{self._base}/login/oauth/access_token",
            {
                "client_id": self._provider.client_id,
                "client_secret": self._secret,
                "code": answer["code"],
                "redirect_uri": redirect_uri,
                "code_verifier": attempt.verifier,
            },
        )
        token = text_of(tokens, "access_token")
        if not token or "error" in tokens:
            raise self._web.refused(f"GitHub says {text_of(tokens, 'error')[:100] or 'nothing'} to the code")
        user = await self._get("/user", token)
        number = user.get("id") if isinstance(user, dict) else None
        if not isinstance(number, int) or isinstance(number, bool) or not text_of(user, "login"):
            raise self._web.down("does not say who it is")
        groups = await self._groups(token) if self._asks_groups else frozenset()
        if self._provider.allowed_groups and not groups & {name.lower() for name in self._provider.allowed_groups}:
            raise self._web.refused("the account is in no organization or team that is let in here")
        return External(
            provider=self._provider.id,
            issuer=self._provider.issuer,
            subject=str(number),  # a login can be renamed and taken by somebody else, the number cannot
            name=text_of(user, "login"),
            email=await self._email(token),
            display=text_of(user, "name"),
            groups=frozenset(name for name in self._provider.groups if name.lower() in groups),
        )

    @property
    def _asks_groups(self) -> bool:
        return bool(self._provider.groups or self._provider.allowed_groups)

    async def _groups(self, token: str) -> frozenset[str]:
        orgs = {text_of(org, "login").lower() for org in await self._all("/user/orgs", token)}
        teams = set()
        for team in await self._all("/user/teams", token):
            org = text_of(team.get("organization"), "login") if isinstance(team, dict) else ""
            teams.add(f"{org}/{text_of(team, 'slug')}".lower())
        return frozenset(orgs | teams)

    async def _email(self, token: str) -> str | None:
        if "user:email" not in (self._provider.scopes or ("user:email",)):
            return None
        for entry in await self._all("/user/emails", token):
            if isinstance(entry, dict) and entry.get("primary") is True and entry.get("verified") is True:
                return text_of(entry, "email") or None
        return None

    async def _all(self, path: str, token: str) -> list[Any]:
        found: list[Any] = []
        for page in range(1, MOST_PAGES + 1):
            items = await self._get(f"{path}?per_page={PAGE}&page={page}", token)
            if not isinstance(items, list):
                raise self._web.down(f"answers {path} with something else than a list")
            found += items
            if len(items) < PAGE:
                break
        return found

    async def _get(self, path: str, token: str) -> Any:
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {token}",
            "X-GitHub-Api-Version": _VERSION,
        }
        return await self._web.get(self._api + path, headers)
