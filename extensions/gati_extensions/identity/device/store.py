"""Devices that wait for a person's word."""

from __future__ import annotations

from dataclasses import dataclass

from gati_registry.extension import Transaction

PENDING, APPROVED, DENIED = "pending", "approved", "denied"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A device's request. `account_id` and `epoch` are those of who approved it; `interval` is in seconds."""

    id: str
    client: str
    scopes: tuple[str, ...]
    path: str
    address: str
    created_at: int
    expires_at: int
    state: str
    account_id: int | None
    epoch: int | None
    polled_at: int
    interval: int


_COLUMNS = "id, client, scopes, path, address, created_at, expires_at, state, account_id, epoch, polled_at, pause"


def _waiting(row: tuple[object, ...] | None) -> Waiting | None:
    if row is None:
        return None
    found = list(row)
    found[2] = tuple(str(found[2]).split())
    return Waiting(*found)  # type: ignore[arg-type]  # in the order of _COLUMNS


async def add(tx: Transaction, waiting: Waiting, device: str, user: str) -> bool:
    """A new request, under the hashes of its codes; False if another has the same code for people."""
    made = await tx.run(
        "INSERT INTO identity_device"
        " (id, device_hash, user_hash, client, scopes, path, address, created_at, expires_at, state, polled_at, pause)"
        " VALUES (:id, :device, :user, :client, :scopes, :path, :address, :now, :expires, :state, 0, :pause)"
        " ON CONFLICT (user_hash) DO NOTHING",
        id=waiting.id,
        device=device,
        user=user,
        client=waiting.client,
        scopes=" ".join(waiting.scopes),
        path=waiting.path,
        address=waiting.address,
        now=waiting.created_at,
        expires=waiting.expires_at,
        state=waiting.state,
        pause=waiting.interval,
    )
    return made > 0


async def count(tx: Transaction, address: str, now: int) -> tuple[int, int]:
    """How many requests wait in all, and from an address."""
    row = await tx.one(
        "SELECT count(*), coalesce(sum(CASE WHEN address = :address THEN 1 ELSE 0 END), 0) FROM identity_device"
        " WHERE expires_at > :now",
        address=address,
        now=now,
    )
    return (int(row[0]), int(row[1])) if row is not None else (0, 0)


async def of_device(tx: Transaction, hashed: str) -> Waiting | None:
    """By the device's code."""
    return _waiting(await tx.one(f"SELECT {_COLUMNS} FROM identity_device WHERE device_hash = :hash", hash=hashed))


async def of_user(tx: Transaction, hashed: str, now: int) -> Waiting | None:
    """By the code for people, while nobody has decided and it has not expired."""
    return _waiting(
        await tx.one(
            f"SELECT {_COLUMNS} FROM identity_device WHERE user_hash = :hash AND state = :state AND expires_at > :now",
            hash=hashed,
            state=PENDING,
            now=now,
        )
    )


async def decide(tx: Transaction, waiting_id: str, state: str, account_id: int, epoch: int) -> bool:
    """A person's word; False if there was one before."""
    changed = await tx.run(
        "UPDATE identity_device SET state = :state, account_id = :account, epoch = :epoch"
        " WHERE id = :id AND state = :pending",
        state=state,
        account=account_id,
        epoch=epoch,
        id=waiting_id,
        pending=PENDING,
    )
    return changed > 0


async def polled(tx: Transaction, waiting_id: str, now: int, interval: int) -> None:
    """The device has asked."""
    await tx.run(
        "UPDATE identity_device SET polled_at = :now, pause = :pause WHERE id = :id",
        now=now,
        pause=interval,
        id=waiting_id,
    )


async def spend(tx: Transaction, waiting_id: str) -> bool:
    """The device fetches what it was granted; False if it has."""
    return await tx.run("DELETE FROM identity_device WHERE id = :id", id=waiting_id) > 0
