"""httpx without its command line.

`import httpx` also imports what its own command prints with (click, rich, pygments) wherever these are installed, which
takes longer than all the rest of it. It does without where that part cannot be imported.
"""

from __future__ import annotations

import sys

_PART = "httpx._main"

if "httpx" in sys.modules:
    import httpx
else:
    sys.modules[_PART] = None  # type: ignore[assignment]  # what the import system takes for "cannot be imported"
    try:
        import httpx
    finally:
        del sys.modules[_PART]

__all__ = ["httpx"]
