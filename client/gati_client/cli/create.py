"""`gati <kind> create`: begin an artifact of a kind."""

# Annotations are values here: what `--type` may be is known when the command is made.
from pathlib import Path
from typing import Annotated

import typer

from gati_client.cli.frame import App, current, emit, say


def app_for(kind: str) -> App:
    """The command `create` of a kind; none for kinds that are not begun by hand."""
    from gati_client.scaffold import KINDS

    app = App()
    recipe = KINDS.get(kind)
    if recipe is None:
        return app
    types = ", ".join(recipe.types)
    describe = typer.Option("--type", help=f"One of {types}." if types else "Has none.", hidden=not types)

    @app.command(help=f"Begin a {kind}: a folder that can be published as it is.")
    def create(
        name: Annotated[str, typer.Argument(help="Its name: greet, @acme/greet.")],
        folder: Annotated[Path | None, typer.Argument(help="Where; a folder of that name by default.")] = None,
        type: Annotated[str | None, describe] = None,
        description: Annotated[str, typer.Option("--description", help="What it is, in a sentence.")] = "",
        author: Annotated[str, typer.Option("--author", help="NAME <MAIL> of who makes it.")] = "",
        license: Annotated[str, typer.Option("--license", help="Its licence, as SPDX writes it.")] = "MIT",
    ) -> None:
        from gati_client.errors import Usage
        from gati_client.names import Name
        from gati_client.scaffold import create as begin

        parsed = Name.parse(name)
        if parsed.registry or parsed.version or parsed.digest:
            raise Usage(f"{name} names a registry or a version", remedy=f"a {kind} begins with a name alone")
        target = folder or Path(parsed.repository.rpartition("/")[2])
        made = begin(
            kind, name, target, type=type, description=description, author=author, license=license,
            force=current().force,
        )  # fmt: skip
        emit({"kind": kind, "name": name, "folder": str(made.folder), "files": made.files})
        say(f"next: cd {made.folder} && gati {kind} publish")

    return app
