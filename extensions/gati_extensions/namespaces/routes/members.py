"""Members of namespaces, and custom roles."""

from __future__ import annotations

from collections.abc import Sequence

from gati_extensions.namespaces import store
from gati_extensions.namespaces.model import MemberChange, MemberItem, RoleChange, RoleItem, RoleList, moment
from gati_extensions.namespaces.roles import ALIASES, BUILT_IN, canonical
from gati_extensions.namespaces.routes.doors import ADMINISTER, Doors, missing, path_of
from gati_extensions.namespaces.store import CustomRole, Member
from gati_extensions.namespaces.tree import line
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Call, Page, Paging, Route, Transaction

MOST_ROLES = 100
"""Custom roles that are made at one path."""

KINDS = ("user", "robot", "team")


def routes(doors: Doors) -> Sequence[Route]:
    """All of them."""
    own = _Members(doors)
    one, role = "{path:path}/members/{kind}/{name:path}", "{path:path}/roles/{role}"
    return [
        Route("GET", "{path:path}/members", ADMINISTER, own.page, "Members of a namespace.", query=Paging,
              answer=Page[MemberItem]),
        Route("PUT", one, ADMINISTER, own.put, "Give a user, robot or team a role.", body=MemberChange,
              answer=MemberItem),
        Route("DELETE", one, ADMINISTER, own.delete, "Take a role away."),
        Route("GET", "{path:path}/roles", ADMINISTER, own.roles, "Custom roles usable here.", answer=RoleList),
        Route("PUT", role, ADMINISTER, own.put_role, "Make or change a custom role.", body=RoleChange, answer=RoleItem),
        Route("DELETE", role, ADMINISTER, own.delete_role, "Remove a custom role that nobody has."),
    ]  # fmt: skip


class _Members:
    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def page(self, call: Call) -> Page[MemberItem]:
        path, query = path_of(call), call.query
        assert isinstance(query, Paging)
        found = await self._doors.read(lambda tx: store.members(tx, path, query.cursor, query.limit + 1))
        items = [_item(member) for member in found[: query.limit]]
        more = len(found) > query.limit
        return Page[MemberItem](items=items, next=f"{items[-1].kind} {items[-1].name}" if more else None)

    async def put(self, call: Call) -> MemberItem:
        path, wanted, now = path_of(call), call.body, self._doors.kernel.clock.now()
        assert isinstance(wanted, MemberChange)
        role = canonical(wanted.role)

        async def work(tx: Transaction) -> Member:
            if role not in BUILT_IN and all(known.name != role for known in await store.roles(tx, line(path))):
                raise RegistryError(
                    Code.INVALID, f"role: there is no role {role} here; use one of {', '.join(BUILT_IN)} or make it"
                )
            kind, subject, name = await self._subject(tx, call)
            before = await store.member(tx, path, kind, subject)
            member = Member(path, kind, subject, name, role, before.added_at if before else now)
            await store.put_member(tx, member)
            await store.changed(tx, "rules")
            await self._doors.tell(
                tx, call, path, "member", "update" if before else "create", id=f"{path} {kind} {name}",
                before={"role": before.role} if before else None, after={"role": role},
            )  # fmt: skip
            return member

        return _item(await self._doors.write(work))

    async def delete(self, call: Call) -> None:
        path = path_of(call)

        async def work(tx: Transaction) -> None:
            kind, subject, name = await self._subject(tx, call)
            before = await store.member(tx, path, kind, subject)
            if before is None:
                raise missing("member")
            await store.drop_member(tx, path, kind, subject)
            await store.changed(tx, "rules")
            await self._doors.tell(
                tx, call, path, "member", "delete", id=f"{path} {kind} {name}",
                before={"role": before.role}, after=None,
            )  # fmt: skip

        await self._doors.write(work)

    async def roles(self, call: Call) -> RoleList:
        path = path_of(call)
        found = await self._doors.read(lambda tx: store.roles(tx, line(path)))
        return RoleList(items=[_role(role) for role in found])

    async def put_role(self, call: Call) -> RoleItem:
        path, wanted, name = path_of(call), call.body, call.parameters["role"]
        assert isinstance(wanted, RoleChange)
        item = RoleItem(path=path, name=_role_name(name), inherits=wanted.inherits, permissions=wanted.permissions)
        new = CustomRole(
            path,
            name,
            tuple(canonical(role) for role in wanted.inherits),
            tuple(permission.model_dump(mode="json") for permission in wanted.permissions),
        )

        async def work(tx: Transaction) -> None:
            known = {role.name: role for role in reversed(await store.roles(tx, line(path)))}
            before = known.get(name) if name in known and known[name].path == path else None
            if before is None and sum(role.path == path for role in known.values()) >= MOST_ROLES:
                raise RegistryError(Code.CONFLICT, f"there are {MOST_ROLES} roles here already; remove some")
            _check_inherited({**known, name: new}, new)
            await store.put_role(tx, new)
            await store.changed(tx, "rules")
            await self._doors.tell(
                tx, call, path, "role", "update" if before else "create", id=f"{path} {name}",
                before=_role(before).model_dump(mode="json") if before else None, after=item.model_dump(mode="json"),
            )  # fmt: skip

        await self._doors.write(work)
        return item

    async def delete_role(self, call: Call) -> None:
        path, name = path_of(call), call.parameters["role"]

        async def work(tx: Transaction) -> None:
            if await store.role_in_use(tx, path, name):
                raise RegistryError(Code.CONFLICT, f"somebody has the role {name}; give them another one first")
            if not await store.drop_role(tx, path, name):
                raise missing("role")
            await store.changed(tx, "rules")
            await self._doors.tell(tx, call, path, "role", "delete", id=f"{path} {name}", before={}, after=None)

        await self._doors.write(work)

    async def _subject(self, tx: Transaction, call: Call) -> tuple[str, int, str]:
        """Kind, number and name of the member that the path names."""
        kind, name = call.parameters["kind"], call.parameters["name"]
        if kind not in KINDS:
            raise RegistryError(Code.INVALID, f"a member is a {', a '.join(KINDS[:-1])} or a {KINDS[-1]}")
        if kind == "team":
            org, _, short = name.partition("/")
            team = await self._doors.accounts.team(tx, org, short)
            if team is None:
                raise RegistryError(Code.NOT_FOUND, f"there is no team {name[:100]}; write it as org/team")
            return kind, team.id, f"{team.org}/{team.name}"
        account = await self._doors.accounts.find(tx, name)
        if account is None or account.kind != kind:
            raise RegistryError(Code.NOT_FOUND, f"there is no {kind} {name[:100]}")
        return kind, account.id, account.name


def _role_name(name: str) -> str:
    if name in BUILT_IN or name in ALIASES:
        raise RegistryError(Code.CONFLICT, f"{name} is a built-in role; choose another name")
    return name


def _check_inherited(known: dict[str, CustomRole], new: CustomRole) -> None:
    """Every inherited role is there, and none inherits from itself.

    Raises:
        RegistryError: INVALID.
    """
    trail: list[str] = []
    done: set[str] = set()

    def visit(role: CustomRole) -> None:
        trail.append(role.name)
        for name in role.inherits:
            if name in trail:
                raise RegistryError(Code.INVALID, f"inherits: {' inherits '.join((*trail, name))}: a cycle")
            if name in BUILT_IN or name in done:
                continue
            if name not in known:
                raise RegistryError(Code.INVALID, f"inherits: there is no role {name} here")
            if len(trail) > 8:
                raise RegistryError(Code.INVALID, "inherits: more than eight roles in a row; make it flatter")
            visit(known[name])
        done.add(trail.pop())

    visit(new)


def _item(member: Member) -> MemberItem:
    return MemberItem(
        path=member.path,
        kind=member.kind,  # type: ignore[arg-type]  # one of three words, checked when it was set
        name=member.name,
        role=member.role,
        added_at=moment(member.added_at),
    )


def _role(role: CustomRole) -> RoleItem:
    return RoleItem.model_validate(
        {"path": role.path, "name": role.name, "inherits": role.inherits, "permissions": role.permissions},
        strict=False,
    )
