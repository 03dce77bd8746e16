"""What proves who somebody is: API keys, refresh tokens, browser sessions, invitations, signing keys."""

from __future__ import annotations

from dataclasses import dataclass

from gati_extensions.identity.store import changed
from gati_registry.extension import Transaction


@dataclass(frozen=True, slots=True)
class Key:
    """An API key, without its secret."""

    id: str
    account_id: int
    name: str
    scopes: tuple[str, ...]
    path: str
    created_at: int
    expires_at: int | None
    used_at: int | None

    def alive(self, now: int) -> bool:
        """Whether it has not expired."""
        return self.expires_at is None or now < self.expires_at


_KEY = "SELECT id, account_id, name, scopes, path, created_at, expires_at, used_at FROM identity_key"


def _key(row: tuple[object, ...] | None) -> Key | None:
    if row is None:
        return None
    found = list(row)
    found[3] = tuple(str(found[3]).split())
    return Key(*found)  # type: ignore[arg-type]  # in the order of _KEY


async def add_key(tx: Transaction, key: Key, hashed: str) -> None:
    """A new key."""
    await tx.run(
        "INSERT INTO identity_key (id, account_id, name, hash, scopes, path, created_at, expires_at)"
        " VALUES (:id, :account, :name, :hash, :scopes, :path, :now, :expires)",
        id=key.id,
        account=key.account_id,
        name=key.name,
        hash=hashed,
        scopes=" ".join(key.scopes),
        path=key.path,
        now=key.created_at,
        expires=key.expires_at,
    )


async def find_key(tx: Transaction, hashed: str) -> Key | None:
    """The key of a secret."""
    return _key(await tx.one(f"{_KEY} WHERE hash = :hash", hash=hashed))


async def get_key(tx: Transaction, key_id: str) -> Key | None:
    """A key by its id."""
    return _key(await tx.one(f"{_KEY} WHERE id = :id", id=key_id))


async def keys(tx: Transaction, account_id: int, after: str, limit: int) -> list[Key]:
    """An account's keys, by id."""
    rows = await tx.all(
        f"{_KEY} WHERE account_id = :account AND id > :after ORDER BY id LIMIT :limit",
        account=account_id,
        after=after,
        limit=limit,
    )
    return [key for key in map(_key, rows) if key is not None]


async def count_keys(tx: Transaction, account_id: int) -> int:
    """How many keys an account has."""
    row = await tx.one("SELECT count(*) FROM identity_key WHERE account_id = :account", account=account_id)
    return int(row[0]) if row is not None else 0


async def drop_key(tx: Transaction, key_id: str) -> None:
    """Revoke a key, and the refresh tokens that were got with it."""
    await tx.run("DELETE FROM identity_refresh WHERE key_id = :id", id=key_id)
    await tx.run("DELETE FROM identity_key WHERE id = :id", id=key_id)
    await changed(tx)


async def replace_secret(tx: Transaction, key_id: str, hashed: str, now: int) -> None:
    """Give a key another secret; what was got with the old one ends."""
    await tx.run("DELETE FROM identity_refresh WHERE key_id = :id", id=key_id)
    await tx.run(
        "UPDATE identity_key SET hash = :hash, created_at = :now, used_at = NULL WHERE id = :id",
        hash=hashed,
        now=now,
        id=key_id,
    )
    await changed(tx)


async def key_used(tx: Transaction, key_id: str, now: int) -> None:
    """Note the use of a key."""
    await tx.run("UPDATE identity_key SET used_at = :now WHERE id = :id", now=now, id=key_id)


# --- refresh tokens ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Refresh:
    """A refresh token, without its secret; `method` is how its owner had logged in."""

    id: str
    account_id: int
    key_id: str | None
    epoch: int
    method: str
    client: str
    created_at: int
    used_at: int


_REFRESH = "SELECT id, account_id, key_id, epoch, method, client, created_at, used_at FROM identity_refresh"


async def add_refresh(tx: Transaction, refresh: Refresh, hashed: str, most: int) -> None:
    """A new refresh token; of more than `most` of an account the one that was idle longest goes."""
    await tx.run(
        "INSERT INTO identity_refresh (id, account_id, key_id, hash, epoch, method, client, created_at, used_at)"
        " VALUES (:id, :account, :key, :hash, :epoch, :method, :client, :created, :used)",
        id=refresh.id,
        account=refresh.account_id,
        key=refresh.key_id,
        hash=hashed,
        epoch=refresh.epoch,
        method=refresh.method,
        client=refresh.client,
        created=refresh.created_at,
        used=refresh.used_at,
    )
    await tx.run(
        "DELETE FROM identity_refresh WHERE id IN (SELECT id FROM identity_refresh WHERE account_id = :account"
        " ORDER BY used_at DESC, id LIMIT 1000 OFFSET :most)",
        account=refresh.account_id,
        most=most,
    )


async def find_refresh(tx: Transaction, hashed: str) -> Refresh | None:
    """The refresh token of a secret."""
    row = await tx.one(f"{_REFRESH} WHERE hash = :hash", hash=hashed)
    return Refresh(*row) if row is not None else None


async def get_refresh(tx: Transaction, refresh_id: str) -> Refresh | None:
    """A refresh token by its id."""
    row = await tx.one(f"{_REFRESH} WHERE id = :id", id=refresh_id)
    return Refresh(*row) if row is not None else None


async def refreshes(tx: Transaction, account_id: int, after: str, limit: int) -> list[Refresh]:
    """An account's refresh tokens, by id."""
    rows = await tx.all(
        f"{_REFRESH} WHERE account_id = :account AND id > :after ORDER BY id LIMIT :limit",
        account=account_id,
        after=after,
        limit=limit,
    )
    return [Refresh(*row) for row in rows]


async def refresh_used(tx: Transaction, refresh_id: str, now: int) -> None:
    """Note the use of a refresh token."""
    await tx.run("UPDATE identity_refresh SET used_at = :now WHERE id = :id", now=now, id=refresh_id)


async def drop_refresh(tx: Transaction, refresh_id: str) -> None:
    """Revoke a refresh token and the tokens that were got with it."""
    await tx.run("DELETE FROM identity_refresh WHERE id = :id", id=refresh_id)
    await changed(tx)


# --- sessions ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Session:
    """A browser's session, without its secret."""

    id: str
    account_id: int
    epoch: int
    address: str
    user_agent: str
    created_at: int
    seen_at: int


_SESSION = "SELECT id, account_id, epoch, address, user_agent, created_at, seen_at FROM identity_session"


async def add_session(tx: Transaction, session: Session, hashed: str, most: int) -> None:
    """A new session; of more than `most` of an account the one that was idle longest goes."""
    await tx.run(
        "INSERT INTO identity_session (id, account_id, hash, epoch, address, user_agent, created_at, seen_at)"
        " VALUES (:id, :account, :hash, :epoch, :address, :agent, :created, :seen)",
        id=session.id,
        account=session.account_id,
        hash=hashed,
        epoch=session.epoch,
        address=session.address,
        agent=session.user_agent,
        created=session.created_at,
        seen=session.seen_at,
    )
    await tx.run(
        "DELETE FROM identity_session WHERE id IN (SELECT id FROM identity_session WHERE account_id = :account"
        " ORDER BY seen_at DESC, id LIMIT 1000 OFFSET :most)",
        account=session.account_id,
        most=most,
    )
    await changed(tx)


async def find_session(tx: Transaction, hashed: str) -> Session | None:
    """The session of a secret."""
    row = await tx.one(f"{_SESSION} WHERE hash = :hash", hash=hashed)
    return Session(*row) if row is not None else None


async def get_session(tx: Transaction, session_id: str) -> Session | None:
    """A session by its id."""
    row = await tx.one(f"{_SESSION} WHERE id = :id", id=session_id)
    return Session(*row) if row is not None else None


async def sessions(tx: Transaction, account_id: int, after: str, limit: int) -> list[Session]:
    """An account's sessions, by id."""
    rows = await tx.all(
        f"{_SESSION} WHERE account_id = :account AND id > :after ORDER BY id LIMIT :limit",
        account=account_id,
        after=after,
        limit=limit,
    )
    return [Session(*row) for row in rows]


async def session_seen(tx: Transaction, session_id: str, now: int) -> None:
    """Note the use of a session."""
    await tx.run("UPDATE identity_session SET seen_at = :now WHERE id = :id", now=now, id=session_id)


async def drop_session(tx: Transaction, session_id: str) -> None:
    """End a session and the tokens that were got with it."""
    await tx.run("DELETE FROM identity_session WHERE id = :id", id=session_id)
    await changed(tx)


# --- signing keys -----------------------------------------------------------------------------------------------


async def signing_keys(tx: Transaction) -> list[tuple[str, str, int, int | None]]:
    """(kid, private key as the vault keeps it, created_at, retired_at), the newest first."""
    return [
        (kid, pem, created_at, retired_at)
        for kid, pem, created_at, retired_at in await tx.all(
            "SELECT kid, private, created_at, retired_at FROM identity_signing_key ORDER BY created_at DESC, kid"
        )
    ]


async def add_signing_key(tx: Transaction, kid: str, pem: str, now: int) -> None:
    """Sign with a new key from now on; the others verify only."""
    await tx.run("UPDATE identity_signing_key SET retired_at = :now WHERE retired_at IS NULL", now=now)
    await tx.run(
        "INSERT INTO identity_signing_key (kid, private, created_at) VALUES (:kid, :pem, :now)",
        kid=kid,
        pem=pem,
        now=now,
    )
    await changed(tx)


async def drop_signing_keys(tx: Transaction, *, but: str) -> None:
    """What they signed ends."""
    await tx.run("DELETE FROM identity_signing_key WHERE kid <> :but", but=but)
    await changed(tx)


# --- housekeeping -----------------------------------------------------------------------------------------------


async def forget(
    tx: Transaction, *, refresh: int, idle: int, begun: int, retired: int, attempts: int, ended: int
) -> int:
    """Remove what ended before these times; how many rows."""
    gone = await tx.run("DELETE FROM identity_refresh WHERE used_at < :before", before=refresh)
    gone += await tx.run(
        "DELETE FROM identity_session WHERE seen_at < :idle OR created_at < :begun", idle=idle, begun=begun
    )
    gone += await tx.run("DELETE FROM identity_device WHERE expires_at < :before", before=ended)
    gone += await tx.run("DELETE FROM identity_challenge WHERE expires_at < :before", before=ended)
    gone += await tx.run("DELETE FROM identity_exchange WHERE forget_at < :before", before=ended)
    gone += await tx.run("DELETE FROM identity_signing_key WHERE retired_at < :before", before=retired)
    gone += await tx.run("DELETE FROM identity_attempt WHERE until < :before", before=attempts)
    return gone
