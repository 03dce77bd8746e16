"""The data sets of the official suite: the same kinds of content under the same names.

Source: distribution-spec, conformance/run.go (GenerateData).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gati_conformance.config import Config
from gati_conformance.data import (
    AMD64,
    ARM64,
    EXAMPLE_1,
    EXAMPLE_2,
    IMAGE,
    LAYER_FOREIGN,
    LAYER_FOREIGN_GZIP,
    OCTETS,
    Artifact,
    Content,
    Json,
    digest_of,
    empty_json,
    image,
    image_config,
    index,
    layer,
    simple_artifact,
    simple_image,
    simple_index,
    token,
)

HELLO = {"org.opencontainers.conformance": "hello conformance test"}
BAD_DIGEST = "sha256:baddigeststring"


@dataclass
class DataSet:
    """Content that is pushed, looked at and deleted as one.

    `manifests` are in the order of pushing, children first; `pushed_tags` fills as tags are pushed.
    `contents_known` is false for a read-only registry's own content, of which only names are known.
    """

    blobs: dict[str, Content] = field(default_factory=dict)
    manifests: dict[str, Content] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    subjects: tuple[str, ...] = ()
    contents_known: bool = True
    pushed_tags: set[str] = field(default_factory=set)

    def add(self, artifact: Artifact, tag: str = "") -> Content:
        """Take in an artifact; returns its manifest."""
        for item in artifact.blobs:
            self.blobs[item.digest] = item
        return self.add_manifest(artifact.manifest, tag)

    def add_manifest(self, manifest: Content, tag: str = "") -> Content:
        """Take in a manifest whose references are in already; returns it."""
        self.manifests[manifest.digest] = manifest
        if tag:
            self.tags[tag] = manifest.digest
        return manifest

    def referrers(self) -> dict[str, list[Json]]:
        """For each subject, the descriptors that the referrers API has to list."""
        found: dict[str, list[Json]] = {subject: [] for subject in self.subjects}
        for manifest in self.manifests.values() if self.contents_known else ():
            document = manifest.document
            if subject := document.get("subject"):
                found.setdefault(subject["digest"], []).append(referrer(manifest))
        return found


def referrer(manifest: Content) -> Json:
    """A manifest's descriptor as the referrers API lists it. Source: distribution-spec, "Listing Referrers"."""
    document = manifest.document
    fallback = document["config"]["mediaType"] if manifest.media_type == IMAGE else None
    kind = document.get("artifactType") or fallback
    more = {"artifactType": kind} if kind else {}
    if document.get("annotations"):
        more["annotations"] = document["annotations"]
    return manifest.descriptor(**more)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a data set is called and made, and what is in it (so that its cases are known before it is made)."""

    group: str  # the official suite's name for the group
    entry: str  # its name in reports
    make: Callable[[], DataSet]
    requires: tuple[str, ...] = ()
    blobs: bool = True
    manifests: bool = True
    tagged: bool = True
    plain: bool = True  # manifests without a subject
    subject: bool = False  # manifests with one
    tag_parameters: bool = False  # the tags go along with the push by digest
    bad_digest: bool = False  # the manifest is not what its digest says


def _images() -> DataSet:
    made = DataSet()
    made.add(simple_image(), "image")
    return made


def _uncompressed() -> DataSet:
    made = DataSet()
    made.add(simple_image(compressed=False), "image-uncompressed")
    return made


def _large_manifest() -> DataSet:
    # 3.9 MB: just under the 4 MB that registries are expected to accept
    annotations = {f"large-annotation-{number}": "A" * 10_000 for number in range(390)}
    made = DataSet()
    made.add(simple_image(annotations=annotations), "large-manifest")
    return made


def _add_index(made: DataSet, tag: str = "", *, algorithm: str = "sha256", **more: Any) -> Content:
    children = [simple_image(platform=platform, algorithm=algorithm) for platform in (AMD64, ARM64)]
    for child in children:
        made.add(child)
    return made.add_manifest(simple_index(*children, algorithm=algorithm, **more), tag)


def _index() -> DataSet:
    made = DataSet()
    _add_index(made, "index")
    return made


def _nested_index() -> DataSet:
    made = DataSet()
    inner = [_add_index(made) for _ in range(2)]
    made.add_manifest(index([item.descriptor() for item in inner]), "index-of-index")
    return made


def _empty_index() -> DataSet:
    made = DataSet()
    made.add_manifest(index([], annotations={"test": token()}), "index")
    return made


def _artifact() -> DataSet:
    made = DataSet()
    made.add(simple_artifact(), "artifact")
    return made


def _artifact_index() -> DataSet:
    made = DataSet()
    children = [simple_artifact() for _ in range(2)]
    for child in children:
        made.add(child)
    made.add_manifest(simple_index(*children, artifactType=EXAMPLE_1), "artifact-index")
    return made


def _artifact_without_layers() -> DataSet:
    empty = empty_json()
    manifest = image(empty.descriptor(), [empty.descriptor()], artifactType=EXAMPLE_1, annotations={"test": token()})
    made = DataSet()
    made.add(Artifact(manifest, (empty,)), "artifact-without-layers")
    return made


def _unique_annotations() -> Json:
    return {**HELLO, f"org.example.{token()}": token()}


def _artifacts_with_subject() -> DataSet:
    made = DataSet()
    subject = made.add(simple_image(), "image").descriptor()
    made.add(simple_image(subject=subject))
    made.add(simple_artifact(annotations=_unique_annotations(), subject=subject), "tagged-artifact1")
    second = simple_artifact(
        artifact_type=EXAMPLE_2, layer_type=OCTETS, annotations=_unique_annotations(), subject=subject
    )
    made.add(second, "tagged-artifact2")
    return made


def _index_with_subject() -> DataSet:
    made = DataSet()
    subject = _add_index(made, "index").descriptor()
    children = [simple_artifact(annotations=_unique_annotations(), subject=subject) for _ in range(2)]
    for child in children:
        made.add(child)
    described = simple_index(*children, artifactType=EXAMPLE_1, annotations=_unique_annotations(), subject=subject)
    made.add_manifest(described, "tagged-artifact")
    return made


def _missing_subject() -> DataSet:
    subject = {"mediaType": IMAGE, "digest": digest_of(secrets.token_bytes(32)), "size": 123}
    made = DataSet()
    made.add(simple_artifact(annotations=_unique_annotations(), subject=subject), "tagged-artifact")
    return made


def _data_field() -> DataSet:
    made = DataSet()
    made.add(simple_image(inline=True), "data-field")
    return made


def _non_distributable() -> DataSet:
    foreign: list[Json] = []
    for media_type, size in ((LAYER_FOREIGN_GZIP, 123_456), (LAYER_FOREIGN, 12_345)):
        digest = digest_of(secrets.token_bytes(32))
        urls = [f"https://store.example.com/blobs/{digest.replace(':', '/')}"]
        foreign.append({"mediaType": media_type, "digest": digest, "size": size, "urls": urls})
    own, diff_id = layer()
    config = image_config([digest_of(secrets.token_bytes(32)), foreign[1]["digest"], diff_id])
    manifest = image(config.descriptor(), [*foreign, own.descriptor()])
    made = DataSet()
    made.add(Artifact(manifest, (config, own)), "non-distributable-image")
    return made


def _custom_fields() -> DataSet:
    def unknown() -> Json:
        return {f"org.{token()}": token()}

    made = DataSet()
    children = [simple_image(platform=each, config_fields=unknown(), **unknown()) for each in (AMD64, ARM64)]
    for child in children:
        made.add(child)
    made.add_manifest(simple_index(*children, **unknown()), "custom-fields")
    return made


def _no_layers() -> DataSet:
    made = DataSet()
    made.add(simple_image(layers=0), "no-layers")
    return made


def _sparse() -> DataSet:
    made = DataSet()
    lacking = simple_image()
    made.add(Artifact(lacking.manifest, lacking.blobs[:-1]), "sparse-image")
    child = made.add(simple_image())
    absent = {"mediaType": IMAGE, "digest": digest_of(secrets.token_bytes(32)), "size": 1024, "platform": ARM64}
    made.add_manifest(index([child.descriptor(platform=AMD64), absent]), "sparse-index")
    return made


def _sha512() -> DataSet:
    made = DataSet()
    _add_index(made, algorithm="sha512")  # without tags: those need tag parameters at sha512
    return made


def _tag_parameters(algorithm: str) -> DataSet:
    made = DataSet()
    _add_index(made, f"tag-param-{algorithm}", algorithm=algorithm)  # the index gets two tags
    for number, digest in enumerate(made.manifests):
        made.tags[f"tag-param-{algorithm}-{number}"] = digest
    return made


def _bad_digest_image() -> DataSet:
    """An image whose manifest has two bytes more than its digest says."""
    artifact = simple_image()
    made = DataSet()
    digest = made.add(artifact).digest
    made.manifests[digest] = Content(artifact.manifest.data + b"  ", artifact.manifest.media_type)
    return made


RECIPES = (
    Recipe("image", "Image", _images),
    Recipe("image-uncompressed", "Image Uncompressed", _uncompressed),
    Recipe("large-manifest", "Image with Large Manifest", _large_manifest),
    Recipe("index", "Index", _index, ("data.index",)),
    Recipe("nested-index", "Nested Index", _nested_index, ("data.index", "data.indexList")),
    Recipe("empty-index", "Empty Index", _empty_index, ("data.index",), blobs=False),
    Recipe("artifact", "Artifact", _artifact, ("data.artifact",)),
    Recipe("artifact-index", "Artifact Index", _artifact_index, ("data.artifactList",)),
    Recipe("artifact-without-layers", "Artifact without Layers", _artifact_without_layers, ("data.artifact",)),
    Recipe(
        "artifacts-with-subject", "Artifacts with Subject", _artifacts_with_subject, ("data.subject",), subject=True
    ),
    Recipe("index-with-subject", "Index with Subject", _index_with_subject, ("data.subjectList",), subject=True),
    Recipe("missing-subject", "Missing Subject", _missing_subject, ("data.subjectMissing",), subject=True, plain=False),
    Recipe("data-field", "Data Field", _data_field, ("data.dataField",)),
    Recipe(
        "non-distributable-layers",
        "Non-distributable Layers",
        _non_distributable,
        ("data.nondistributable",),
    ),
    Recipe("custom-fields", "Custom Fields", _custom_fields, ("data.customFields",)),
    Recipe("no-layers", "No Layers", _no_layers, ("data.noLayers",)),
    Recipe("sparse", "Sparse Manifests", _sparse, ("data.sparse",)),
    Recipe("sha512", "Digest Algorithm sha512", _sha512, ("data.sha512",), tagged=False),
    Recipe(
        "tag-param-sha256",
        "Tag Param",
        lambda: _tag_parameters("sha256"),
        ("apis.manifests.tagParam",),
        tag_parameters=True,
    ),
    Recipe(
        "tag-param-sha512",
        "Tag Param sha512",
        lambda: _tag_parameters("sha512"),
        ("apis.manifests.tagParam", "data.sha512"),
        tag_parameters=True,
    ),
    Recipe("bad-digest-image", "Bad Digest Image", _bad_digest_image, tagged=False, bad_digest=True),
)


def read_only(config: Config) -> DataSet:
    """Names of content that a read-only registry was said to hold (OCI_RO_DATA_...)."""
    given = config.read_only
    return DataSet(
        blobs={digest: Content(b"") for digest in given.get("blobs", ())},
        manifests={digest: Content(b"") for digest in given.get("manifests", ())},
        tags=dict.fromkeys(given.get("tags", ()), ""),
        subjects=given.get("referrers", ()),
        contents_known=False,
    )
