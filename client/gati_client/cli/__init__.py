"""The command `gati`.

    frame      what all commands share
    <module>   one group of commands each, in its `app`

A module is imported when one of its commands is run or listed; `gati --version` imports none.
"""

from __future__ import annotations

import sys


def main() -> None:
    """The entry point. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 denied, 5 conflict, 6 integrity,
    7 network."""
    if sys.argv[1:] == ["--version"]:
        from importlib.metadata import version

        sys.stdout.write(f"gati {version('gati-registry')}\n")
        return
    try:
        from gati_client.cli import root
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(root.main())
