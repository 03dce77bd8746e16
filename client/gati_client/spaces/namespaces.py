"""Namespaces: who may what, how much, and by which rules."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from gati_client.models import (
    Draft,
    MemberChange,
    MemberItem,
    Namespace,
    NamespaceChange,
    NamespaceItem,
    PolicyChange,
    PolicyItem,
    PolicyList,
    Published,
    Quota,
    QuotaChange,
    RoleChange,
    RoleItem,
    RoleList,
    TransferChange,
    Transferred,
    Verification,
    VerificationList,
    VerifyChange,
)
from gati_client.spaces.base import Space, namespace_path, part, repository_path


class Namespaces(Space):
    """`client.namespaces`; each is named by its path, such as `orgs/acme`."""

    needs = "namespaces"

    def list(self) -> AsyncIterator[NamespaceItem]:
        """Those that the caller sees, by path."""
        return self._items(NamespaceItem, "/v2/_ext/namespaces")

    async def get(self, path: str) -> Namespace:
        """One of them."""
        return await self._get(Namespace, _path(path))

    async def put(self, path: str, change: NamespaceChange) -> Namespace:
        """Make or change one."""
        return await self._send("PUT", _path(path), Namespace, change)

    async def delete(self, path: str) -> None:
        """Delete one that is empty."""
        await self._do("DELETE", _path(path))

    def members(self, path: str) -> AsyncIterator[MemberItem]:
        """Who belongs to it, and in which role."""
        return self._items(MemberItem, _path(path, "members"))

    async def put_member(self, path: str, kind: str, name: str, change: MemberChange) -> MemberItem:
        """Give a role; `kind` is `user`, `team` or `robot`, as in `members`."""
        return await self._send("PUT", _path(path, "members", kind, name), MemberItem, change)

    async def delete_member(self, path: str, kind: str, name: str) -> None:
        """Take it away."""
        await self._do("DELETE", _path(path, "members", kind, name))

    async def quota(self, path: str) -> Quota:
        """Limits, and what is used of them."""
        return await self._get(Quota, _path(path, "quota"))

    async def put_quota(self, path: str, change: QuotaChange) -> Quota:
        """Set limits."""
        return await self._send("PUT", _path(path, "quota"), Quota, change)

    async def delete_quota(self, path: str) -> None:
        """Back to the defaults."""
        await self._do("DELETE", _path(path, "quota"))

    async def policies(self, path: str) -> Sequence[PolicyItem]:
        """Its rules."""
        return (await self._get(PolicyList, _path(path, "policy"))).items

    async def put_policy(self, path: str, name: str, change: PolicyChange) -> PolicyItem:
        """Make or change a rule."""
        return await self._send("PUT", _path(path, "policy", name), PolicyItem, change)

    async def delete_policy(self, path: str, name: str) -> None:
        """Delete a rule."""
        await self._do("DELETE", _path(path, "policy", name))

    async def roles(self, path: str) -> Sequence[RoleItem]:
        """Built-in and own roles."""
        return (await self._get(RoleList, _path(path, "roles"))).items

    async def put_role(self, path: str, role: str, change: RoleChange) -> RoleItem:
        """Make or change an own role."""
        return await self._send("PUT", _path(path, "roles", role), RoleItem, change)

    async def delete_role(self, path: str, role: str) -> None:
        """Delete an own role."""
        await self._do("DELETE", _path(path, "roles", role))

    async def transfer(self, path: str, change: TransferChange) -> Transferred:
        """Rename it, or give it to somebody else; the old path leads to the new one."""
        return await self._send("POST", _path(path, "transfer"), Transferred, change)

    async def verifications(self, path: str) -> Sequence[Verification]:
        """How it proved whose it is."""
        return (await self._get(VerificationList, _path(path, "verify"))).items

    async def verify(self, path: str, change: VerifyChange) -> Verification:
        """Begin or check a proof of whose it is."""
        return await self._send("POST", _path(path, "verify"), Verification, change)

    async def unverify(self, path: str, method: str, subject: str) -> None:
        """Withdraw a proof."""
        await self._do("DELETE", _path(path, "verify"), query={"method": method, "subject": subject})

    def drafts(self, repository: str) -> AsyncIterator[Draft]:
        """Pushed by contributors, not seen by all yet."""
        return self._items(Draft, repository_path(repository, "namespaces/drafts"))

    async def publish_draft(self, repository: str, digest: str) -> Published:
        """Let all see it."""
        path = repository_path(repository, f"namespaces/drafts/{part(digest)}/publish")
        return await self._send("POST", path, Published)


def _path(path: str, *rest: str) -> str:
    return "/".join([f"/v2/_ext/namespaces/{namespace_path(path)}", *(part(each) for each in rest)])
