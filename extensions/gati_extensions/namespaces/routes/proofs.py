"""Proofs of who publishes here."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from pydantic import Field

from gati_extensions.namespaces import store
from gati_extensions.namespaces.model import Verification, VerificationList, VerifyChange, moment
from gati_extensions.namespaces.routes.doors import ADMINISTER, Doors, missing, path_of
from gati_extensions.namespaces.store import Proof
from gati_extensions.namespaces.tree import root
from gati_extensions.namespaces.verify import PREFIX, subject
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Call, Model, Route, Transaction
from gati_registry.values.reference import RepositoryName

MOST = 20
"""Proofs of one namespace."""


class ProofQuery(Model):
    """Which proof."""

    method: str = Field(max_length=16)
    subject: str = Field(max_length=253)


def routes(doors: Doors) -> Sequence[Route]:
    """All of them."""
    own, path = _Proofs(doors), "{path:path}/verify"
    return [
        Route("GET", path, ADMINISTER, own.all, "Proofs asked for and found.", answer=VerificationList),
        Route("POST", path, ADMINISTER, own.verify,
              "Ask for a proof: the answer says where to put which token. Ask again once it is there.",
              body=VerifyChange, answer=Verification),
        Route("DELETE", path, ADMINISTER, own.delete, "Withdraw a proof.", query=ProofQuery),
    ]  # fmt: skip


class _Proofs:
    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def all(self, call: Call) -> VerificationList:
        path = _owned(path_of(call))
        found = await self._doors.read(lambda tx: store.proofs(tx, path))
        return VerificationList(items=[self._shown(proof, proof.verified_at) for proof in found])

    async def verify(self, call: Call) -> Verification:
        path, wanted, now = _owned(path_of(call)), call.body, self._doors.kernel.clock.now()
        assert isinstance(wanted, VerifyChange)
        asked = Proof(path, wanted.method, subject(wanted.method, wanted.subject), secrets.token_urlsafe(24), now, None)
        known = await self._proof(asked)
        if known is None:

            async def ask(tx: Transaction) -> None:
                if len(await store.proofs(tx, path)) >= MOST:
                    raise RegistryError(Code.CONFLICT, f"there are {MOST} proofs already; withdraw some")
                await store.ask_proof(tx, asked)
                await self._tell(tx, call, asked, "create", None)

            await self._doors.write(ask)
            known = await self._proof(asked)
            assert known is not None
            return self._shown(known, None)
        proof, verified_at = known, now if await self._doors.verifier.found(known) else None

        async def note(tx: Transaction) -> None:
            await store.set_proof(tx, proof, verified_at)
            await self._tell(tx, call, proof, "verify" if verified_at else "fail", verified_at)

        await self._doors.write(note)
        return self._shown(proof, verified_at)

    async def delete(self, call: Call) -> None:
        path, query = _owned(path_of(call)), call.query
        assert isinstance(query, ProofQuery)

        async def work(tx: Transaction) -> None:
            if not await store.drop_proof(tx, path, query.method, query.subject):
                raise missing("proof")
            await self._tell(tx, call, Proof(path, query.method, query.subject, "", 0, None), "delete", None)

        await self._doors.write(work)

    async def _proof(self, asked: Proof) -> Proof | None:
        found = await self._doors.read(lambda tx: store.proofs(tx, asked.path))
        return next((p for p in found if (p.method, p.subject) == (asked.method, asked.subject)), None)

    async def _tell(self, tx: Transaction, call: Call, proof: Proof, action: str, verified_at: int | None) -> None:
        await self._doors.tell(
            tx, call, proof.path, "proof", action, id=f"{proof.path} {proof.method} {proof.subject}",
            after={"verified": verified_at is not None},
        )  # fmt: skip

    def _shown(self, proof: Proof, verified_at: int | None) -> Verification:
        return Verification(
            path=proof.path,
            method=proof.method,  # type: ignore[arg-type]  # one of two words, checked when it was asked for
            subject=proof.subject,
            place=self._doors.verifier.place(proof),
            token=PREFIX + proof.token,
            verified_at=moment(verified_at) if verified_at is not None else None,
        )


def _owned(path: RepositoryName) -> RepositoryName:
    if path != root(path):
        raise RegistryError(Code.INVALID, f"a publisher is verified as a whole: ask for {root(path)}")
    return path
