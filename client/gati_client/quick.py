"""httpx, imported when it is first used, and without its command line.

Who pushes and pulls as usual never asks for it (see `lanes`), and it takes longer to import than all of the client.
`import httpx` also imports what its own command prints with (click, rich, pygments) wherever these are installed. It
does without where that part cannot be imported.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

_PART = "httpx._main"

if TYPE_CHECKING:
    import httpx
else:

    class _Later:
        def __getattr__(self, name: str) -> object:
            there = "httpx" in sys.modules
            if not there:
                sys.modules[_PART] = None  # what the import system takes for "cannot be imported"
            try:
                import httpx as module
            finally:
                if not there:
                    del sys.modules[_PART]
            value = getattr(module, name)
            setattr(self, name, value)
            return value

    httpx = _Later()

__all__ = ["httpx"]
