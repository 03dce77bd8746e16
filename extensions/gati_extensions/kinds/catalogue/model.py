"""AI models: ONNX, GGUF, safetensors, TensorRT, WebAssembly, images with CUDA; ModelPack, KitOps and Docker models too.

The files' own headers are read by range and complete the card; where the manifest claims something else, that is a
doubt which is shown, not a refusal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from gati_extensions.kinds import headers
from gati_extensions.kinds.fields import MOST, Manifest, Part, Short, Text, Words, facts, references
from gati_extensions.kinds.files import File, Files, Malformed
from gati_extensions.kinds.kind import Dependency, Facts, Kind

SAFETENSORS = ("application/vnd.safetensors", "application/vnd.docker.ai.safetensors")
GGUF = ("application/vnd.gguf", "application/vnd.docker.ai.gguf.v3", "application/x-gguf")
ONNX = ("application/vnd.onnx", "application/onnx")
MODELPACK = tuple(
    f"application/vnd.cncf.model.{what}.v1.raw" for what in ("weight", "weight.config")
)  # fmt: skip
FILES_READ = 16
"""Files of one model whose headers are read."""

Shape = Annotated[list[int | str | None], Field(max_length=64)] | Text | dict[str, Any]


class Capabilities(Part):
    """What a hosted or local model can do."""

    context_length: Annotated[int, Field(ge=0, le=2**53)] | None = None
    max_output_tokens: Annotated[int, Field(ge=0, le=2**53)] | None = None
    supports_streaming: bool | None = None
    supports_functions: bool | None = None
    supports_vision: bool | None = None
    supports_json_mode: bool | None = None
    languages: Words = Field(default_factory=list)
    modalities: Words = Field(default_factory=list)
    features: Words = Field(default_factory=list)


class Endpoint(Part):
    """Where a hosted model answers."""

    url: Short
    authentication: Text = ""


class Model(Manifest):
    """The manifest of a model."""

    provider: Literal["openai", "anthropic", "google", "cohere", "huggingface", "custom"] = "custom"
    type: Literal["completion", "embedding", "vision", "function-calling", "multi-modal"] | None = None
    model_format: Text = ""
    model_file: Text = ""
    input_shape: Shape | None = None
    output_shape: Shape | None = None
    runtime: Text = ""
    capabilities: Capabilities | Words = Field(  # type: ignore[assignment]  # of a model they are measures, not rights
        default_factory=list
    )
    model_card: Annotated[dict[str, Any], Field(max_length=MOST)] = Field(default_factory=dict)
    benchmarks: Annotated[dict[str, Any] | list[Any], Field(max_length=MOST)] = Field(default_factory=dict)
    endpoints: Annotated[list[Endpoint], Field(max_length=MOST)] = Field(default_factory=list)
    base_model: Text = ""
    datasets: Words = Field(default_factory=list)

    @model_validator(mode="after")
    def _has_something(self) -> Model:
        if self.model_file and self.model_file.startswith("/"):
            raise ValueError("modelFile must be a path within the artifact, without a leading /")
        return self


def _describe(found: Model) -> Facts:
    able = found.capabilities
    numbers: dict[str, float] = {}
    words: dict[str, tuple[str, ...]] = {"provider": (found.provider,)}
    if isinstance(able, Capabilities):
        numbers = {
            name: float(value)
            for name in ("context_length", "max_output_tokens")
            if (value := getattr(able, name)) is not None
        }
        supports = [
            name
            for name in ("streaming", "functions", "vision", "json_mode")
            if getattr(able, f"supports_{name}") is True
        ]
        words |= {"modalities": tuple(able.modalities), "features": (*able.features, *supports)}
        flags: tuple[str, ...] = ()
        languages = tuple(dict.fromkeys([*able.languages, *found.languages]))
    else:
        flags, languages = tuple(able), tuple(found.languages)
    if found.model_format:
        words["format"] = (found.model_format.lower(),)
    wanted: list[Dependency] = [
        *references([found.base_model] if found.base_model else [], "model"),
        *references(found.datasets, "dataset"),
    ]
    return facts(
        found.model_copy(update={"capabilities": []}),
        type=found.type or "",
        capabilities=flags,
        languages=languages,
        numbers=numbers,
        words=words,
        dependencies=wanted,
        details={
            "runtime": found.runtime, "model_file": found.model_file, "input_shape": found.input_shape,
            "output_shape": found.output_shape, "card": dict(found.model_card), "benchmarks": found.benchmarks,
            "endpoints": [endpoint.model_dump() for endpoint in found.endpoints],
        },
    )  # fmt: skip


def _foreign(config: dict[str, Any]) -> Facts:
    """Of ModelPack, KitOps and Docker models; what has another form there is left out.

    Sources: github.com/modelpack/model-spec docs/config.md; kitops.org, Kitfile; github.com/docker/model-spec.
    """
    about = _object(config, "descriptor") or _object(config, "package")
    inner = _object(config, "config") or _object(config, "model")
    words = {
        name: (value,)
        for name, keys in (
            ("architecture", ("architecture",)),
            ("format", ("format", "framework")),
            ("quantisation", ("quantization",)),
            ("precision", ("precision",)),
            ("family", ("family",)),
        )
        if (value := next((text for key in keys if (text := _text(inner, key) or _text(about, key))), ""))
    }
    if "format" in words:
        words["format"] = (words["format"][0].lower(),)
    size = inner.get("paramSize") or inner.get("parameters") or inner.get("size")
    authors = about.get("authors")
    licenses = about.get("licenses")
    return Facts(
        name=_text(about, "name") or _text(inner, "name"),
        version=_text(about, "version") or _text(inner, "version"),
        title=_text(about, "title"),
        description=_text(about, "description") or _text(inner, "description"),
        authors=tuple(name for name in authors if isinstance(name, str)) if isinstance(authors, list) else (),
        license=_text(about, "license")
        or (str(licenses[0]) if isinstance(licenses, list) and licenses and isinstance(licenses[0], str) else ""),
        homepage=_text(about, "docURL"),
        source=_text(about, "sourceURL"),
        words=words,
        details={"size": size} if isinstance(size, str | int) else {},
    )


def _object(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = config.get(name)
    return found if isinstance(found, dict) else {}


def _text(config: Mapping[str, Any], name: str) -> str:
    found = config.get(name)
    return found[:4096] if isinstance(found, str) else ""


async def _inspect(facts: Facts, files: Files) -> Facts:
    """Complete the facts by the headers of what is recognised, and say where both differ."""
    read = 0
    for file in files:
        parse = _parser(file)
        if parse is None or read >= FILES_READ:
            continue
        read += 1
        window = await file.open()
        if window is None:
            continue
        try:
            header = await parse(window)
        except Malformed as error:
            facts = facts.with_problems(f"{file.title or file.digest}: its header cannot be read: {error}")
            continue
        finally:
            window.close()
        facts = _merge(facts, header, file)
    return facts


def _parser(file: File) -> headers.Parse | None:
    name, media = file.title.lower(), file.media_type
    if media in SAFETENSORS or name.endswith(".safetensors"):
        return headers.read_safetensors
    if media in GGUF or name.endswith(".gguf"):
        return headers.read_gguf
    if media in ONNX or name.endswith(".onnx"):
        return headers.read_onnx
    return None


_COMPARED = {"context_length": "numbers", "architecture": "words", "quantisation": "words", "format": "words"}


def _merge(facts: Facts, header: headers.Header, file: File) -> Facts:
    problems = []
    numbers, words = dict(facts.numbers), {name: tuple(value) for name, value in facts.words.items()}
    for name, number in header.numbers.items():
        claimed = numbers.setdefault(name, number)
        if claimed != number and name in _COMPARED:
            problems.append(f"the manifest says {name} {claimed:g}, the file {number:g}")
    for name, word in header.words.items():
        said = words.get(name)
        if said is None:
            words[name] = (word,)
        elif word not in said:
            if name in _COMPARED:
                problems.append(f"the manifest says {name} {said[0]}, the file {word}")
            else:
                words[name] = (*said, word)
    problems += _shapes(facts.details, header)
    shown = [*facts.details.get("files", ()), {"name": file.title, "digest": file.digest, **header.shown()}]
    details = {**facts.details, "files": shown}
    return replace(facts, numbers=numbers, words=words, details=details).with_problems(*problems, *header.problems)


def _shapes(details: Mapping[str, Any], header: headers.Header) -> list[str]:
    """Where a claimed shape is not that of the graph's only input or output."""
    out = []
    for name, tensors in (("input_shape", header.inputs), ("output_shape", header.outputs)):
        claimed = details.get(name)
        if isinstance(claimed, list) and len(tensors) == 1:
            real = list(tensors[0].shape)
            fits = len(real) == len(claimed) and all(
                not isinstance(one, int) or not isinstance(other, int) or one == other or -1 in (one, other)
                for one, other in zip(claimed, real, strict=True)
            )
            if not fits:
                out.append(f"the manifest says {name} {claimed}, the file {real}")
    return out


KIND = Kind.own(
    "model",
    "An AI model and its card.",
    Model,
    _describe,
    foreign=_foreign,
    inspect=_inspect,
    artifact_types=("application/vnd.cncf.model.manifest.v1+json", "application/vnd.docker.ai.model.v1"),
    config_types=(
        "application/vnd.cncf.model.config.v1+json",
        "application/vnd.kitops.modelkit.config.v1+json",
        "application/vnd.docker.ai.model.config.v0.1+json",
    ),
    layers=(*SAFETENSORS, *GGUF, *ONNX, *MODELPACK),
)
