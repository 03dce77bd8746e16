"""Every kind: what is accepted, what is kept of it, what is refused and how."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from typing import Any

import pytest

from gati_extensions.kinds.catalogue import KINDS
from tests.core.support import INDEX
from tests.extensions.access.support import World
from tests.extensions.kinds.support import BASE, CONFIGS, EMPTY, push

pytestmark = pytest.mark.anyio

ACME = "orgs/acme/thing"


async def facts(site: World, repository: str = ACME, version: str = "1.2.3") -> Any:
    """What is kept of a version."""
    return await site.user("alice").done("GET", f"/v2/{repository}/_ext/kinds/versions/{version}")


def test_there_is_a_good_manifest_of_every_kind() -> None:
    assert {kind.name for kind in KINDS} == {*CONFIGS, "image", "chart"}


async def test_a_good_one_of_every_kind_is_understood(site: World) -> None:
    for kind, config in CONFIGS.items():
        layer = (b"layer", f"application/vnd.gati.{kind}.layer.v1.tar+gzip", "")
        assert (await push(site.user("alice"), f"orgs/acme/{kind}", "1.2.3", kind, config, [layer])).status == 201
        found = await facts(site, f"orgs/acme/{kind}")
        assert (found["kind"], found["state"], found["version"]) == (kind, "published", "1.2.3")
        assert found["facts"]["name"] == "thing"
        assert found["facts"]["license"] == "MIT"
        assert found["facts"]["authors"] == ["Ada Lovelace"]
        assert found["facts"]["keywords"] == ["one", "two"]
        assert "problems" not in found["facts"]


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("module", {"version": "one"}, "/version"),
    ("module", {"name": None}, "/name"),
    ("module", {"gati": None}, "/"),
    ("plugin", {"config": {"type": "nonsense", "entry": "x"}}, "/config/type"),
    ("plugin", {"capabilities": ["not a capability!"]}, "/capabilities/0"),
    ("model", {"provider": "nobody"}, "/provider"),
    ("agent", {"runtime": "cobol"}, "/runtime"),
    ("agent", {"skillGraph": {"skills": ["a", "b"], "dependencies": {"a": ["b"], "b": ["a"]}}}, "/skillGraph"),
    ("agent", {"skillGraph": {"skills": ["a"], "dependencies": {"a": ["z"]}}}, "/skillGraph"),
    ("template", {"variables": [{"name": "a b"}]}, "/variables/0/name"),
    ("template", {"variables": [{"name": "x"}, {"name": "x"}]}, "/variables"),
    ("snapshot", {"environment": {"PATH": "/bin"}}, "/environment"),
    ("snapshot", {"environment": ["TOKEN=secret"]}, "/environment"),
    ("transformer", {"transformations": []}, "/transformations"),
    ("pipeline", {"stages": [{"name": "a", "needs": ["a"]}]}, "/"),
    ("pipeline", {"stages": [{"name": "a", "needs": ["z"]}]}, "/"),
    ("service", {"ports": [70000]}, "/ports/0"),
    ("spec", {"specifications": {}}, "/specifications/main"),
    ("library", {"dependencies": {"x": {"version": {}}}}, "/dependencies/x/version"),
]  # fmt: skip


async def test_a_bad_one_is_refused_with_the_pointer(site: World) -> None:
    for kind, change, pointer in BAD:
        config = {name: value for name, value in {**CONFIGS[kind], **change}.items() if value is not None}
        answer = await push(site.user("alice"), ACME, "1.2.3", kind, config)
        assert answer.status == 400, answer
        error = answer.json()["errors"][0]
        assert error["code"] == "MANIFEST_INVALID"
        assert any(problem["pointer"] == pointer for problem in error["detail"]["problems"]), error
        assert "secret" not in str(error)
    # Nothing of it is there.
    assert (await site.user("alice").pull(ACME, "1.2.3")).status == 404
    assert (await site.user("alice").call("GET", f"/v2/{ACME}/_ext/kinds/artifact")).status == 404


async def test_hostile_json_is_refused(site: World) -> None:
    for config, problem in (
        (b"[]", "must be a JSON object"),
        (b'{"name": 1, "name": 2}', "twice"),
        (b'{"x": NaN}', "NaN"),
        (b"\xff{}", "UTF-8"),
        (b'{"x":' + b"[" * 100 + b"]" * 100 + b"}", "nested deeper"),
    ):
        answer = await push(site.user("alice"), ACME, "1.2.3", "module", config)
        assert answer.status == 400
        assert problem in answer.json()["errors"][0]["message"]


async def test_a_config_of_ours_has_a_limit(site: World) -> None:
    config = json.dumps({**CONFIGS["module"], "x": "y" * (1024 * 1024)}).encode()
    answer = await push(site.user("alice"), ACME, "1.2.3", "module", config)
    assert answer.json()["errors"][0]["detail"]["pointer"] == "/config/size"


async def test_both_forms_of_a_module(site: World) -> None:
    contract = {"name": "thing", "id": "thing", "version": "1.2.3", "type": "wasm",
                "exports": {"run": {"inputRef": "In", "outputRef": "Out"}}, "capabilities": ["db:read"],
                "resources": {"cpu": "500m", "mem": "512Mi"}}  # fmt: skip
    assert (await push(site.user("alice"), ACME, "1.2.3", "module", contract)).status == 201
    found = (await facts(site))["facts"]
    assert found["type"] == "wasm"
    assert found["details"]["exports"] == {"run": {"input": "In", "output": "Out"}}
    assert found["capabilities"] == ["db:read"]


async def test_dependencies_name_repositories(site: World) -> None:
    config = {
        **BASE,
        "dependencies": {"@acme/log": "^1.0.0", "org.acme.x.y": "*",
                         "plain": {"version": {"gte": "1.0.0", "lt": "2.0.0"}}},
        "peerDependencies": {"gati.dev/users/bob/x": "latest"},
    }  # fmt: skip
    assert (await push(site.user("alice"), ACME, "1.2.3", "library", config)).status == 201
    found = {one["name"]: one for one in (await facts(site))["facts"]["dependencies"]}
    assert found["orgs/acme/log"]["constraint"] == "^1.0.0"
    assert found["orgs/acme/x/y"]["constraint"] == "*"
    assert found["plain"]["constraint"] == ">=1.0.0 <2.0.0"
    assert found["users/bob/x"]["type"] == "peer"


async def test_upstreams_names_of_kinds_are_known(site: World) -> None:
    answer = await push(site.user("alice"), ACME, "1.2.3", "module", CONFIGS["module"], artifact="module-wasm")
    assert answer.status == 201
    assert (await facts(site))["kind"] == "module"


async def test_an_image_and_its_index(site: World) -> None:
    config = {"architecture": "arm64", "os": "linux", "variant": "v8", "created": "2026-01-01T00:00:00Z",
              "config": {"Entrypoint": ["/bin/app"], "Env": ["A=secret"], "Labels": {
                  "org.opencontainers.image.title": "App", "org.opencontainers.image.licenses": "MIT"}},
              "rootfs": {"type": "layers", "diff_ids": []}, "history": [{"created_by": "COPY . ."}]}  # fmt: skip
    alice = site.user("alice")
    pushed = await push(alice, ACME, "1.2.3", "image", config, artifact=None,
                        config_type="application/vnd.oci.image.config.v1+json")  # fmt: skip
    assert pushed.status == 201
    found = await facts(site)
    assert found["kind"] == "image"
    assert found["facts"]["platforms"] == ["linux/arm64/v8"]
    assert found["facts"]["title"] == "App"
    assert found["facts"]["details"]["environment"] == ["A"]  # names alone
    assert found["facts"]["details"]["history"][0]["by"] == "COPY . ."
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": found["digest"], "size": found["size"],
         "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
    ]}).encode()  # fmt: skip
    assert (await alice.client.push_manifest(ACME, "2.0.0", index, INDEX)).status == 201
    whole = await facts(site, version="2.0.0")
    assert (whole["kind"], whole["facts"]["platforms"]) == ("image", ["linux/arm64/v8"])


def chart_archive() -> bytes:
    """A chart as `helm package` makes it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in (("app/Chart.yaml", b"name: app"), ("app/templates/x.yaml", b"x" * 5000),
                           ("app/values.yaml", b"replicas: 2\n")):  # fmt: skip
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return gzip.compress(out.getvalue())


async def test_a_chart_and_its_values(site: World) -> None:
    config = {"name": "app", "version": "1.2.3", "apiVersion": "v2", "description": "An app.", "appVersion": "7",
              "keywords": ["web"], "maintainers": [{"name": "Ada"}],
              "dependencies": [{"name": "redis", "version": "^1", "repository": "oci://x"}]}  # fmt: skip
    layer = (chart_archive(), "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "")
    pushed = await push(site.user("alice"), ACME, "1.2.3", "chart", config, [layer], artifact=None,
                        config_type="application/vnd.cncf.helm.config.v1+json")  # fmt: skip
    assert pushed.status == 201
    found = (await facts(site))["facts"]
    assert found["details"]["values"] == "replicas: 2\n"
    assert found["dependencies"][0]["name"] == "redis"


async def test_a_hostile_chart_is_kept_and_doubted(site: World) -> None:
    for archive in (b"no gzip", gzip.compress(b"no tar" * 200), gzip.compress(b"\0" * 50_000_000)):
        layer = (archive, "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "")
        pushed = await push(site.user("alice"), ACME, "1.2.3", "chart", {"name": "app", "version": "1.2.3"}, [layer],
                            artifact=None, config_type="application/vnd.cncf.helm.config.v1+json")  # fmt: skip
        assert pushed.status == 201
        assert "values" not in (await facts(site))["facts"].get("details", {})


async def test_a_foreign_config_is_never_refused(site: World) -> None:
    for config in (b"[1]", b"{", b'{"architecture": 7, "config": [], "history": {}}', b'{"config": {"Env": 1}}'):
        pushed = await push(site.user("alice"), ACME, "1.2.3", "image", config, artifact=None,
                            config_type="application/vnd.oci.image.config.v1+json")  # fmt: skip
        assert pushed.status == 201
        assert (await facts(site))["kind"] == "image"


async def test_a_foreign_model_is_recognised(site: World) -> None:
    config = {
        "descriptor": {"name": "llm", "version": "1.0", "licenses": ["Apache-2.0"]},
        "config": {"architecture": "llama", "format": "safetensors", "quantization": "int8", "paramSize": "7b"},
    }
    pushed = await push(site.user("alice"), ACME, "1.2.3", "model", config, artifact=None,
                        config_type="application/vnd.cncf.model.config.v1+json")  # fmt: skip
    assert pushed.status == 201
    found = await facts(site)
    assert found["kind"] == "model"
    assert found["facts"]["license"] == "Apache-2.0"
    assert found["facts"]["words"]["architecture"] == ["llama"]


async def test_what_nobody_knows_is_stored_and_listed(site: World) -> None:
    pushed = await push(site.user("alice"), ACME, "1.2.3", "x", EMPTY, artifact="nobody-knows",
                        config_type="application/vnd.oci.empty.v1+json",
                        annotations={"org.opencontainers.image.description": "What is this?"})  # fmt: skip
    assert pushed.status == 201
    found = await facts(site)
    assert (found["kind"], found["facts"]["description"]) == ("unknown", "What is this?")
    listed = await site.user("alice").done("GET", "kinds/namespaces/orgs/acme/artifacts")
    assert [item["repository"] for item in listed["items"]] == [ACME]


async def test_the_same_content_elsewhere_is_told_to_who_may_see_it(site: World) -> None:
    layer = (b"the same", "application/vnd.gati.library.layer.v1.tar+gzip", "")
    await push(site.user("alice"), ACME, "1.2.3", "library", CONFIGS["library"], [layer])
    await push(
        site.user("carol"), "users/carol/copy", "1.2.3", "library", {**CONFIGS["library"], "name": "copy"}, [layer]
    )
    path = "/v2/users/carol/copy/_ext/kinds/versions/1.2.3"
    assert (await site.user("alice").done("GET", path))["same_content"] == [ACME]
    assert (await site.user("carol").done("GET", path))["same_content"] == []  # acme is private


async def test_all_kinds_are_told(site: World) -> None:
    found = {kind["name"]: kind for kind in (await site.nobody.done("GET", "kinds/kinds"))["items"]}
    assert found["module"]["manifest"]["required"] == ["name", "version"]
    assert "application/vnd.gati.module.v1" in found["module"]["artifact_types"]
    assert found["image"]["manifest"] is None


async def test_odd_shapes_of_manifests_are_let_be(site: World) -> None:
    alice = site.user("alice")
    for blob in (b"{}", b'{"architecture": "\\ud800"}', b'{"author": "a\\u0000b"}'):
        assert (await alice.client.push_blob(ACME, blob)).status == 201
    oci = "application/vnd.oci.image"
    for config in (b"{}", b'{"architecture": "\\ud800"}', b'{"author": "a\\u0000b"}'):
        pushed = await push(alice, ACME, "1.2.3", "image", config, artifact=None, config_type=f"{oci}.config.v1+json")
        assert pushed.status == 201
        assert (await alice.call("GET", f"/v2/{ACME}/_ext/kinds/versions/1.2.3")).status == 200
    for kind, document in (
        ("a/b", {"mediaType": {"": ""}, "layers": [], "config": {}}),
        ("a/b", {"layers": {"a": 1}, "manifests": "x", "config": [1], "artifactType": 7}),
        ("a/b", {"manifests": [1, {"platform": {"os": ["x"]}, "digest": {}}, {"digest": "nope"}]}),
        ("application/x+json", {"artifactType": "application/vnd.gati.module.v1", "manifests": []}),
    ):
        data = json.dumps({"schemaVersion": 2, **document}).encode()
        assert (await alice.client.push_manifest(ACME, "odd", data, kind)).status == 201, document
        assert (await alice.call("GET", f"/v2/{ACME}/_ext/kinds/versions/odd")).status == 200


async def test_text_that_no_database_stores_is_refused(site: World) -> None:
    alice = site.user("alice")
    for text in ("a\\u0000b", "\\ud800"):
        config = json.dumps(CONFIGS["library"]).replace("A thing.", text).encode()
        answer = await push(alice, ACME, "1.2.3", "library", config)
        assert (answer.status, answer.json()["errors"][0]["code"]) == (400, "MANIFEST_INVALID")
    assert (await push(alice, ACME, "1.2.3", "library", CONFIGS["library"])).status == 201
    patch = await alice.call("PATCH", f"/v2/{ACME}/_ext/kinds/versions/1.2.3", {"description": "a\0b"})
    assert patch.status == 400
    assert (await alice.call("GET", f"/v2/{ACME}/_ext/kinds/channels?cursor=a%00b")).status == 400
