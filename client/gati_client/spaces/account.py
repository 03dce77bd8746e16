"""The caller: who it is, how it gets in; and accounts of others, for administrators."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from gati_client.models import (
    AccountView,
    Begun,
    Changes,
    DeviceToken,
    Explain,
    Explanation,
    LoginView,
    Me,
    NewPublisher,
    NewUser,
    PasswordChange,
    Profile,
    PublisherView,
    SessionView,
)
from gati_client.spaces.base import Space, part, read

_PATH = "/v2/_ext/identity"


class Account(Space):
    """`client.account`."""

    needs = "identity"

    async def me(self) -> Me:
        """Who the caller is to the registry, and what its credential may do."""
        return await self._get(Me, f"{_PATH}/me")

    async def update(self, profile: Profile) -> AccountView:
        """Change what the caller says of itself."""
        return await self._send("PATCH", f"{_PATH}/me", AccountView, profile)

    async def delete(self) -> None:
        """Erase the caller's account; the name stays taken."""
        await self._do("DELETE", f"{_PATH}/me")

    async def set_password(self, change: PasswordChange) -> None:
        """Change the caller's password."""
        await self._do("PUT", f"{_PATH}/me/password", change)

    async def register(self, user: NewUser) -> AccountView:
        """Make an account, where the registry lets people sign up."""
        return await self._send("POST", f"{_PATH}/users", AccountView, user)

    def users(self) -> AsyncIterator[AccountView]:
        """All users, for administrators."""
        return self._items(AccountView, f"{_PATH}/users")

    async def user(self, name: str) -> AccountView:
        """One of them."""
        return await self._get(AccountView, f"{_PATH}/users/{part(name)}")

    async def change_user(self, name: str, changes: Changes) -> AccountView:
        """Change an account, for administrators."""
        return await self._send("PATCH", f"{_PATH}/users/{part(name)}", AccountView, changes)

    async def delete_user(self, name: str) -> None:
        """Delete an account, for administrators."""
        await self._do("DELETE", f"{_PATH}/users/{part(name)}")

    def logins(self) -> AsyncIterator[LoginView]:
        """Programs that are logged in as the caller."""
        return self._items(LoginView, f"{_PATH}/logins")

    async def end_login(self, login_id: str) -> None:
        """Log one out."""
        await self._do("DELETE", f"{_PATH}/logins/{part(login_id)}")

    def sessions(self) -> AsyncIterator[SessionView]:
        """Browsers that are logged in as the caller."""
        return self._items(SessionView, f"{_PATH}/sessions")

    async def end_session(self, session_id: str) -> None:
        """Log one out."""
        await self._do("DELETE", f"{_PATH}/sessions/{part(session_id)}")

    async def begin_device(self, client_id: str, scopes: Sequence[str] = (), path: str = "") -> Begun:
        """Begin a login in a browser; whoever opens the address sees who asks for what.

        Args:
            client_id: the program's name, as it is shown.
            scopes: words of API keys: `read`, `publish`, `admin`.
            path: the namespace that the key is for; empty: all.
        """
        form = {"client_id": client_id, "scope": " ".join(scopes), "path": path}
        form = {key: value for key, value in form.items() if value}
        return read(Begun, await self._form(f"{_PATH}/device", form))

    async def device_token(self, client_id: str, device_code: str) -> DeviceToken:
        """The key, once somebody approved.

        Raises:
            GatiError: not yet (`code` is `authorization_pending` or `slow_down`), refused or too late.
        """
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
            "client_id": client_id,
            "device_code": device_code,
        }
        return read(DeviceToken, await self._form(f"{_PATH}/device/token", form))

    async def explain(self, question: Explain) -> Explanation:
        """Whether somebody may do something, and why."""
        return await self._send("POST", "/v2/_ext/access/explain", Explanation, question)

    async def trust_publisher(self, publisher: NewPublisher) -> PublisherView:
        """Let a CI's builds push to a repository without a secret."""
        return await self._send("POST", f"{_PATH}/trusted-publishers", PublisherView, publisher)

    def trusted_publishers(self, repository: str) -> AsyncIterator[PublisherView]:
        """Whose builds a repository trusts."""
        return self._items(PublisherView, f"{_PATH}/trusted-publishers", {"repository": repository})

    async def distrust_publisher(self, publisher_id: str) -> None:
        """Trust it no longer."""
        await self._do("DELETE", f"{_PATH}/trusted-publishers/{part(publisher_id)}")
