"""Gati modules, in both forms that upstream has: `gati-module.json` and the contracts' ModuleManifest. And mlld's."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from gati_extensions.kinds.catalogue import mlld
from gati_extensions.kinds.fields import (
    MOST,
    Capabilities,
    Dependencies,
    Manifest,
    Part,
    Short,
    Text,
    Words,
    dependencies,
    facts,
)
from gati_extensions.kinds.kind import Facts, Kind

Runtime = Literal["node", "oci", "wasm", "binary", "external"]


class Export(Part):
    """One method and the types it takes and gives."""

    input_ref: Text = ""
    output_ref: Text = ""


class Resources(Part):
    """What it needs to run: `500m`, `512Mi`."""

    cpu: Text = ""
    mem: Text = ""


class Gati(Part):
    """The `gati` section of `gati-module.json`."""

    type: Text = "module"
    contracts: Words = Field(default_factory=list)
    dependencies: Dependencies = Field(default_factory=dict)
    runtime: Runtime | None = None
    version: Text = ""


class Module(Manifest):
    """Either form; of the contracts' form all of `id`, `type` and `exports` are needed."""

    id: Short | None = None
    type: Runtime | None = None
    exports: Annotated[dict[Text, Export], Field(max_length=MOST)] | None = None
    capabilities: Capabilities = Field(default_factory=list)
    resources: Resources = Resources()
    signature: Text = ""
    gati: Gati | None = None

    @model_validator(mode="after")
    def _either_form(self) -> Module:
        if self.gati is None:
            missing = [name for name in ("id", "type", "exports") if getattr(self, name) is None]
            if missing:
                raise ValueError(
                    f"a module needs either a `gati` section (gati-module.json) or {', '.join(missing)} "
                    "(the contracts' ModuleManifest)"
                )
        return self


def _describe(found: Module) -> Facts:
    gati = found.gati
    exports = {
        name: (export.input_ref or None, export.output_ref or None) for name, export in (found.exports or {}).items()
    }
    return facts(
        found,
        type=found.type or (gati.runtime if gati else None) or "node",
        dependencies=dependencies(gati.dependencies) if gati else (),
        gati=found.gati_version or (gati.version if gati else ""),
        exports=exports,
        words={"contracts": tuple(gati.contracts) if gati else (), "exports": tuple(exports)},
        details={
            "id": found.id,
            "exports": {name: {"input": takes, "output": gives} for name, (takes, gives) in exports.items()},
            "resources": found.resources.model_dump(exclude_defaults=True),
        },
    )


KIND = Kind.own(
    "module",
    "A Gati module: JavaScript, OCI image, WebAssembly, binary or external adapter.",
    Module,
    _describe,
    foreign=mlld.describe,
    artifact_types=tuple(
        f"application/vnd.gati.module-{name}.v1" for name in ("node", "oci", "wasm", "binary", "external")
    ),
    config_types=(mlld.REGISTRY, mlld.MODULE),
    layers=("application/wasm", "application/vnd.wasm.content.layer.v1+wasm"),
    aliases=tuple(f"module-{name}" for name in ("node", "oci", "wasm", "binary", "external")),
)
