"""`gati <kind> …`: what every kind of artifact has. The same commands without the kind take it from the name."""

from __future__ import annotations

from gati_client.cli import finding, moving, packing, project, publishing, states
from gati_client.cli.frame import App

COMMANDS = (
    packing.publish,
    project.install,
    project.update,
    project.outdated,
    project.remove,
    moving.import_,
    publishing.validate,
    publishing.info,
    publishing.list_,
    finding.search,
    states.unpublish,
    states.republish,
    states.deprecate,
    states.undeprecate,
    states.yank,
    states.unyank,
    states.archive,
    states.restore,
    states.star,
    states.unstar,
    states.rate,
)

app = App()

for command in COMMANDS:
    app.command(command.__name__.strip("_"))(command)
app.add_typer(project.deps, name="deps")
