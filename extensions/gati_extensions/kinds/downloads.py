"""How often versions are downloaded: by day, each client once an hour.

    pull ──observer, in batches──▶ counted once? ──▶ kinds_download (version, day), kinds_popularity (in all)

A client is an account, or an address where nobody has logged in. Who it was is not kept: of client and content there
is a hash by a key that is made anew each hour and forgotten with it. Robots are left out unless the settings say
otherwise.

A crash loses the last second's pulls (as for all observers); what was committed is counted once, since the hash and the
number are written together. Another worker's unit comes before or after: a hash has one row.
"""

from __future__ import annotations

import datetime
import hashlib
import secrets
from collections.abc import Mapping, Sequence

from gati_extensions.kinds import semver
from gati_extensions.kinds.settings import KindsSettings
from gati_registry.extension import Clock, Database, Event, Job, Operation, Transaction

HOUR = 3_600_000
FACT = "kinds.downloads.key"
REMEMBERED = 100_000
"""Hashes of this hour that a worker knows without asking the database."""

MOST = 2_000
"""Pulls of one transaction."""

_AT_ONCE = 400
"""Names of one statement."""


def day_of(milliseconds: int) -> str:
    """The day, UTC."""
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC).strftime("%Y-%m-%d")


class Downloads:
    """An observer, and a job that forgets."""

    def __init__(self, database: Database, clock: Clock, settings: KindsSettings) -> None:
        self._database = database
        self._clock = clock
        self._robots = settings.count_robots
        self._agents = tuple(agent.lower() for agent in settings.robot_agents)
        self._hour = -1
        self._known: set[tuple[str, str, str]] = set()

    @property
    def job(self) -> Job:
        """Forgets past hours."""
        return Job("kinds.downloads", 300.0, self.forget, self._past)

    async def observe(self, events: Sequence[Event]) -> None:
        """The observer."""
        hour = self._clock.now() // HOUR
        if hour != self._hour:
            self._hour, self._known = hour, set()
        fresh: dict[tuple[str, str, str], Event] = {}
        for event in events:
            if event.operation is not Operation.PULL or event.digest is None or not self._counts(event):
                continue
            key = (event.actor or event.address, event.repository, event.digest)
            if key not in self._known:
                fresh.setdefault(key, event)
        found = list(fresh.items())
        for start in range(0, len(found), MOST):
            some = found[start : start + MOST]
            await self._database.write(lambda tx: self._count(tx, some, hour))  # noqa: B023 - awaited at once
            if len(self._known) + len(some) <= REMEMBERED:
                self._known.update(key for key, _ in some)

    def _counts(self, event: Event) -> bool:
        """A manifest that was asked for with GET, by somebody who is counted."""
        if event.media_type is None or event.detail.get("method", "GET") != "GET":
            return False
        if self._robots:
            return True
        agent = event.user_agent.lower()
        return "+" not in (event.actor or "") and not any(word in agent for word in self._agents)

    async def _count(self, tx: Transaction, pulls: Sequence[tuple[tuple[str, str, str], Event]], hour: int) -> None:
        key = await _key(tx, hour)
        for (client, repository, digest), event in sorted(pulls, key=lambda pull: pull[0]):
            version = await _version(tx, repository, digest, event.tag)
            if version is None:  # not an artifact's: a platform's manifest, a referrer
                continue
            hashed = hashlib.blake2b("\n".join((client, repository, digest)).encode(), key=key, digest_size=16)
            new = await tx.run(
                "INSERT INTO kinds_seen (hour, client) VALUES (:hour, :client) ON CONFLICT DO NOTHING",
                hour=hour, client=hashed.digest(),
            )  # fmt: skip
            if new:
                await add(tx, repository, version, day_of(event.time), 1, self._clock.now())

    async def _past(self) -> bool:
        hour = self._clock.now() // HOUR
        sql = "SELECT 1 FROM kinds_seen WHERE hour < :hour LIMIT 1"
        return await self._database.read(lambda tx: tx.one(sql, hour=hour)) is not None

    async def forget(self) -> None:
        """Remove the hashes of past hours, a piece at a time."""
        hour = self._clock.now() // HOUR
        sql = (
            "DELETE FROM kinds_seen WHERE (hour, client) IN"
            " (SELECT hour, client FROM kinds_seen WHERE hour < :hour ORDER BY hour, client LIMIT 5000)"
        )
        while await self._past():
            await self._database.write(lambda tx: tx.run(sql, hour=hour))


async def _key(tx: Transaction, hour: int) -> bytes:
    """The hour's key; the earlier one is gone with its hour."""
    found = await tx.leases.get_fact(FACT)
    number, _, text = (found or "").partition(":")
    if number and int(number) >= hour:  # of another worker, whose clock is a little ahead
        return bytes.fromhex(text)
    key = secrets.token_bytes(32)
    await tx.leases.set_fact(FACT, f"{hour}:{key.hex()}")
    return key


async def _version(tx: Transaction, repository: str, digest: str, tag: str | None) -> str | None:
    """The version that was pulled: the tag if it is one, else the highest version of the same content, else the tag."""
    if tag is not None and semver.parse(tag) is not None:
        return tag
    row = await tx.one(
        "SELECT tag FROM kinds_tag WHERE repository = :repository AND digest = :digest"
        " ORDER BY version_key IS NULL, version_key DESC, tag LIMIT 1",
        repository=repository, digest=digest,
    )  # fmt: skip
    return row[0] if row is not None else None


async def add(tx: Transaction, repository: str, version: str, day: str, number: int, now: int) -> None:
    """Count downloads of a version."""
    await tx.run(
        "INSERT INTO kinds_download (repository, version, day, number) VALUES (:repository, :version, :day, :number)"
        " ON CONFLICT (repository, version, day) DO UPDATE SET number = kinds_download.number + :number",
        repository=repository, version=version, day=day, number=number,
    )  # fmt: skip
    await tx.run(
        "INSERT INTO kinds_popularity (repository, downloads, changed_at) VALUES (:repository, :number, :now)"
        " ON CONFLICT (repository) DO UPDATE SET downloads = kinds_popularity.downloads + :number, changed_at = :now",
        repository=repository, number=number, now=now,
    )  # fmt: skip


async def totals(tx: Transaction, names: Sequence[str]) -> Mapping[str, int]:
    """Downloads in all; names that have none are not there."""
    found: dict[str, int] = {}
    for start in range(0, len(names), _AT_ONCE):
        some = {f"n{number}": name for number, name in enumerate(names[start : start + _AT_ONCE])}
        marks = ", ".join(f":{name}" for name in some)
        sql = f"SELECT repository, downloads FROM kinds_popularity WHERE repository IN ({marks})"  # noqa: S608 - made of placeholders alone
        found |= {row[0]: row[1] for row in await tx.all(sql, **some)}
    return found


async def of_versions(tx: Transaction, names: Sequence[str], since_day: str) -> Mapping[tuple[str, str], int]:
    """Downloads from a day on by repository and version (its tag); those that have none are not there."""
    found: dict[tuple[str, str], int] = {}
    for start in range(0, len(names), _AT_ONCE):
        some = {f"n{number}": name for number, name in enumerate(names[start : start + _AT_ONCE])}
        marks = ", ".join(f":{name}" for name in some)
        rows = await tx.all(
            "SELECT repository, version, CAST(sum(number) AS BIGINT) FROM kinds_download"  # noqa: S608 - made of placeholders alone
            f" WHERE repository IN ({marks}) AND day >= :since GROUP BY repository, version",
            since=since_day, **some,
        )  # fmt: skip
        found |= {(row[0], row[1]): row[2] for row in rows}
    return found


async def since(tx: Transaction, time: int, after: str, limit: int) -> Sequence[tuple[int, str]]:
    """(time, name) of repositories whose downloads were counted after that time and name, in their order."""
    rows = await tx.all(
        "SELECT changed_at, repository FROM kinds_popularity WHERE (changed_at, repository) > (:time, :after)"
        " ORDER BY changed_at, repository LIMIT :limit",
        time=time, after=after, limit=limit,
    )  # fmt: skip
    return [(row[0], row[1]) for row in rows]


async def days(
    tx: Transaction, repository: str, since_day: str, after: tuple[str, str], limit: int
) -> Sequence[tuple[str, str, int]]:
    """(day, version, number) from a day on, after that day and version, in their order."""
    rows = await tx.all(
        "SELECT day, version, number FROM kinds_download WHERE repository = :repository AND day >= :since"
        " AND (day, version) > (:day, :version) ORDER BY day, version LIMIT :limit",
        repository=repository, since=since_day, day=after[0], version=after[1], limit=limit,
    )  # fmt: skip
    return [(row[0], row[1], row[2]) for row in rows]
