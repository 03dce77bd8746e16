"""What the collector may and must do, as a model in plain Python: who holds what, and until when a use protects it.

The model does not repeat the collector's steps. It knows of each blob in each repository whether it must be there,
may be there (unreferenced and unused for a while), or must not be, and learns from what it is shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.core.support import GRACE, FakeClock

Place = tuple[str, str]
"""Repository and digest."""


@dataclass(slots=True)
class Link:
    """A blob that may be in a repository. Times in milliseconds."""

    safe_until: int
    used_at: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A manifest."""

    data: bytes
    media_type: str
    references: frozenset[str]
    subject: str | None


@dataclass
class Model:
    """The registry's content."""

    clock: FakeClock
    contents: dict[str, bytes] = field(default_factory=dict)
    links: dict[Place, Link] = field(default_factory=dict)
    manifests: dict[Place, Stored] = field(default_factory=dict)
    tags: dict[Place, str] = field(default_factory=dict)

    def held(self, place: Place) -> bool:
        """Whether a manifest of the repository refers to the blob."""
        repository, digest = place
        return any(name == repository and digest in stored.references for (name, _), stored in self.manifests.items())

    def must(self, place: Place) -> bool:
        """Whether the blob must be there."""
        link = self.links.get(place)
        return link is not None and (self.held(place) or self.clock.now() <= link.safe_until)

    def may(self, place: Place) -> bool:
        """Whether the blob may be there."""
        return place in self.links

    def overdue(self, place: Place) -> bool:
        """Whether a whole run must have marked the blob, if it is still there."""
        link = self.links[place]
        return not self.held(place) and self.clock.now() > link.used_at + GRACE * 1000

    # --- what happened ------------------------------------------------------------------------------------------

    def used(self, place: Place) -> None:
        """Pushed, mounted, or let go by a manifest."""
        now = self.clock.now()
        self.links[place] = Link(now + GRACE * 1000, now)

    def looked_at(self, place: Place) -> None:
        """HEAD said that it is there: it stays for half of the grace at least, and at most a whole one."""
        link, now = self.links[place], self.clock.now()
        link.safe_until = max(link.safe_until, now + GRACE * 1000 // 2)
        link.used_at = now

    def perhaps_used(self, place: Place) -> None:
        """The process ended while it was being pushed."""
        link = self.links.setdefault(place, Link(-1, 0))
        link.used_at = self.clock.now()

    def absent(self, place: Place) -> None:
        """It was found missing, or deleted: it is not there until it is pushed again."""
        assert not self.must(place), place
        self.links.pop(place, None)

    def deleted(self, place: Place) -> None:
        """The blob was deleted by a request."""
        del self.links[place]

    def pushed(self, place: Place, stored: Stored, tag: str | None) -> None:
        """A manifest was accepted."""
        repository, digest = place
        self.manifests[place] = stored
        if tag is not None:
            self.tags[repository, tag] = digest

    def removed(self, place: Place) -> None:
        """A manifest was deleted by its digest: its tags go with it, and what it held gets a last lease."""
        repository, digest = place
        stored = self.manifests.pop(place)
        self.tags = {key: named for key, named in self.tags.items() if (key[0], named) != (repository, digest)}
        for reference in stored.references:
            if (repository, reference) in self.links:
                self.used((repository, reference))

    def referrers(self, repository: str, subject: str) -> set[str]:
        """Digests of the manifests with this subject."""
        return {
            digest
            for (name, digest), stored in self.manifests.items()
            if name == repository and stored.subject == subject
        }
