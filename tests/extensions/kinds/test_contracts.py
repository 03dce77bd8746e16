"""What is a valid manifest or GType, held against `@gati-framework/contracts` itself.

Both sides must agree, but for what is listed here. Ours is stricter where a registry must be:

    version        a semantic version (theirs: any text), since tags and ranges go by it
    name, id       1 to 256 characters
    capabilities   words like db:read, 1 to 256 characters

and knows more: `union`, `enum`, `tuple` and `null` are kinds of the contracts' types that their JSON Schema of a GType
names and gives no form; the runtime's spelling and the shorthand beside theirs.
"""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gati_extensions.kinds import semver
from gati_extensions.kinds.catalogue import module
from gati_extensions.kinds.fields import capability
from gati_extensions.kinds.gtypes.normalising import normalise
from gati_extensions.kinds.gtypes.tree import BadType
from tests.clients.programs import require

SCRIPT = """
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
const folder = process.argv[1];
const { validateManifest, validateGTypeSchema } = await import(pathToFileURL(`${folder}/utils/validation.js`));
const Ajv = createRequire(`${folder}/index.js`)('ajv').default;
const ajv = new Ajv({ allErrors: true, strict: false });
ajv.addSchema(JSON.parse(readFileSync(`${folder}/schemas/gtype.schema.json`, 'utf-8')));
const whole = ajv.getSchema('https://gati.dev/schemas/gtype.schema.json#/definitions/GType');
const judge = {
  module: (data) => validateManifest(data, 'module').valid,
  gtype: (data) => validateGTypeSchema(data).valid,
  schema: (data) => whole(data),
};
console.log(JSON.stringify(JSON.parse(readFileSync(0)).map(([what, data]) => judge[what](data))));
"""


def theirs(what: str, documents: Sequence[Any]) -> list[bool]:
    """Their verdicts."""
    folder = require("gati-contracts").parent.parent
    done = subprocess.run(
        ["node", "--input-type=module", "-e", SCRIPT, str(folder)],
        input=json.dumps([[what, document] for document in documents]), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[bool] = json.loads(done.stdout)
    return found


def our_module(document: Any) -> bool:
    """Ours of a manifest."""
    try:
        module.KIND.model.model_validate(document)  # type: ignore[union-attr]  # it has one
    except ValidationError:
        return False
    return True


def our_gtype(document: Any) -> bool:
    """Ours of a GType."""
    try:
        normalise(document)
    except BadType:
        return False
    return True


def stricter(document: dict[str, Any]) -> bool:
    """Whether ours refuses a manifest that theirs takes, for a reason of the list above."""

    def capable(word: str) -> bool:
        try:
            return 1 <= len(capability(word)) <= 256
        except ValueError:
            return False

    return (
        semver.parse(document["version"]) is None
        or not all(1 <= len(document[name]) <= 256 for name in ("name", "id"))
        or not all(map(capable, document.get("capabilities", [])))
    )


WRONG: list[Any] = [None, 5, True, [], {}, "", "text", ["text"], [1], {"a": 1}, {"a": {}}, {"a": None}]
"""What may stand anywhere."""

RIGHT: dict[str, list[Any]] = {
    "name": ["thing", "@acme/thing"],
    "id": ["db-v1"],
    "version": ["1.0.0", "1.2.3-beta.1", "one", "v1", ""],
    "type": ["node", "oci", "wasm", "binary", "external", "Node"],
    "exports": [{}, {"run": {}}, {"run": {"inputRef": "in-v1", "outputRef": "out-v1"}}, {"run": {"inputRef": None}},
                {"run": {"outputRef": 5}}, {"run": {"more": 1}}, {"run": []}, {"run": {"inputRef": ""}}, {"": {}}],
    "capabilities": [[], ["db:read", "database.write"], ["no capability!"], [""], ["db:read", 5]],
    "resources": [{}, {"cpu": "500m", "mem": "512Mi"}, {"cpu": 1}, {"mem": None}, {"gpu": 1}],
    "signature": ["sha256:abc", ""],
    "unknown": [1],
}  # fmt: skip


def manifests(chance: random.Random, number: int) -> list[Any]:
    """Manifests, right ones and wrong ones."""
    needed = ("name", "id", "version", "type", "exports")
    found: list[Any] = []
    for _ in range(number):
        document = {
            name: chance.choice(values[:1] if chance.random() < 0.6 else values)
            for name, values in RIGHT.items()
            if name in needed or chance.random() < 0.5
        }
        for _ in range(chance.choice([0, 0, 1, 2])):
            name = chance.choice(list(RIGHT))
            if chance.random() < 0.3:
                document.pop(name, None)
            else:
                document[name] = chance.choice(WRONG)
        found.append(document)
    return found


def gtypes(chance: random.Random, number: int) -> list[Any]:
    """GTypes of the kinds to which their schema gives a form, right ones and wrong ones."""
    facets: dict[str, list[Any]] = {
        "kind": ["string", "number", "boolean", "object", "array", "ref", "object", "array", "nope"],
        "nullable": [True, False], "description": ["for people"], "metadata": [{}, {"a": 1}], "brand": ["UserId"],
        "min": [0, 1.5, -3], "max": [9], "minLength": [0, 2, 2.0, 2.5, -1], "maxLength": [5], "pattern": ["^a", "("],
        "properties": [{}], "required": [[], ["a"], ["a", "a"], ["absent"]], "additionalProperties": [True, False],
        "items": [{"kind": "string"}], "minItems": [0, 1], "maxItems": [3, 1.5], "refId": ["User"],
    }  # fmt: skip
    fitting = {
        "object": ("properties", "required", "additionalProperties"), "array": ("items", "minItems", "maxItems"),
        "ref": ("refId",), "string": ("min", "max", "minLength", "maxLength", "pattern", "brand"),
    }  # fmt: skip

    def one(depth: int) -> Any:
        if chance.random() < 0.05:
            return chance.choice([w for w in WRONG if not isinstance(w, str)])
        kind = chance.choice(facets["kind"])
        document: dict[str, Any] = {"kind": kind}
        for name in (*fitting.get(kind, fitting["string"]), "nullable", "description", "metadata"):
            if name in ("properties", "items", "refId") or chance.random() < 0.3:
                document[name] = chance.choice(facets[name])
        if kind == "object" and depth:
            document["properties"] = {name: one(depth - 1) for name in ("a", "b/c")[: chance.randrange(3)]}
        if kind == "array" and depth:
            document["items"] = one(depth - 1)
        if chance.random() < 0.25:
            name = chance.choice([name for name in facets if name in document] or ["kind"])
            if chance.random() < 0.3:
                document.pop(name)
            else:
                # A text is a type in shorthand, and a type says what else an object may hold: ours knows more there.
                more: list[Any] = [{}] if name == "additionalProperties" else []
                document[name] = chance.choice(
                    [w for w in WRONG if w not in more and not (name == "items" and isinstance(w, str))]
                )
        return document

    return [one(3) for _ in range(number)]


@pytest.mark.client
def test_manifests() -> None:
    found = manifests(random.Random(6), 1200)
    verdicts = theirs("module", found)
    assert 200 < sum(verdicts) < 1000, "a good mixture"
    agreed = 0
    for document, valid in zip(found, verdicts, strict=True):
        if valid and stricter(document):
            assert not our_module(document), document
        else:
            agreed += 1
            assert our_module(document) == valid, json.dumps(document)
    assert agreed > 900


@pytest.mark.client
def test_gtypes() -> None:
    found = gtypes(random.Random(7), 1500)
    verdicts = theirs("schema", found)
    assert 300 < sum(verdicts) < 1300, "a good mixture"
    for document, valid in zip(found, verdicts, strict=True):
        assert our_gtype(document) == valid, document
    # Their command asks for no more than a kind: whatever ours takes of the contracts' spelling, it takes.
    good = [document for document in found if our_gtype(document)]
    assert all(theirs("gtype", good))


@pytest.mark.client
def test_kinds_without_a_form_in_their_schema() -> None:
    found = [
        {"kind": "null"}, {"kind": "enum", "values": ["a"]}, {"kind": "tuple", "items": [{"kind": "string"}]},
        {"kind": "union", "types": [{"kind": "string"}, {"kind": "null"}]},
    ]  # fmt: skip
    assert not any(theirs("schema", found))
    assert all(theirs("gtype", found))
    assert all(map(our_gtype, found))


@pytest.mark.client
def test_their_examples_and_their_command(tmp_path: Path) -> None:
    command = require("gati-contracts")
    fixtures = command.parent.parent.parent / "test" / "fixtures"
    examples = json.loads((fixtures / "manifest.example.json").read_text())["examples"]
    modules = {name: one for name, one in examples.items() if "exports" in one}
    types = json.loads((fixtures / "gtype.example.json").read_text())["examples"]
    assert len(modules) >= 4
    assert len(types) >= 7
    assert all(map(our_module, modules.values()))
    assert all(map(our_gtype, types.values()))
    bad = {**modules["nodeModule"], "type": "cobol"}
    for document, what, good in (
        (modules["nodeModule"], "module", True),
        (bad, "module", False),
        (types["refType"], "gtype", True),
    ):
        file = tmp_path / "document.json"
        file.write_text(json.dumps(document))
        done = subprocess.run(["node", command, file, what], capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == good, done.stdout + done.stderr
