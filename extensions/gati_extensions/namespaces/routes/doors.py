"""What all routes of this extension share."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from gati_extensions.identity.api import Accounts
from gati_extensions.namespaces import tree as paths
from gati_extensions.namespaces.counter import Counter
from gati_extensions.namespaces.settings import NamespacesSettings
from gati_extensions.namespaces.standing import Tree
from gati_extensions.namespaces.verify import Verifier
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Action, Call, Change, Kernel, Operation, Permission, Transaction
from gati_registry.values.reference import RepositoryName

T = TypeVar("T")

READ = Permission("namespaces.read", Action.PULL, on="path")
ADMINISTER = Permission("namespaces.administer", Action.ADMINISTER, on="path")


@dataclass(frozen=True, slots=True)
class Doors:
    """The extension's parts, and the ways in which every route uses them."""

    kernel: Kernel
    tree: Tree
    accounts: Accounts
    settings: NamespacesSettings
    verifier: Verifier
    drafts: Counter

    async def read(self, work: Callable[[Transaction], Coroutine[Any, Any, T]]) -> T:
        """Look something up."""
        return await self.kernel.database.read(work)

    async def write(self, work: Callable[[Transaction], Coroutine[Any, Any, T]]) -> T:
        """Change something; this worker minds it at once."""
        done = await self.kernel.database.write(work)
        self.tree.rules.forget()
        self.drafts.forget()
        return done

    async def tell(
        self, tx: Transaction, call: Call, path: str, thing: str, action: str, **detail: str | Mapping[str, Any] | None
    ) -> None:
        """Let gates and the log know of a change of a namespace."""
        await self.kernel.core.emit(
            tx,
            Change(
                Operation.STATE_CHANGE,
                RepositoryName(path),
                0,
                call.caller,
                self.kernel.clock.now(),
                detail={"subject": f"namespaces.{thing}", "action": action, **detail},
            ),
        )


def path_of(call: Call) -> RepositoryName:
    """The namespace that a call is about.

    Raises:
        RegistryError: NAME_INVALID.
    """
    return paths.parse(call.parameters["path"])


def missing(what: str) -> RegistryError:
    """404."""
    return RegistryError(Code.NOT_FOUND, f"there is no such {what}")
