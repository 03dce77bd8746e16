"""What a case may do: paths, pushes, parallel work, and tidying up after itself."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx

from gati_conformance import checks
from gati_conformance.client import Answer, Client
from gati_conformance.config import Config
from gati_conformance.data import OCTETS, Artifact, Content, Json, simple_image, token
from gati_conformance.datasets import DataSet
from gati_conformance.model import Failed

T = TypeVar("T")
R = TypeVar("R")


@dataclass
class Shared:
    """What one case leaves for later ones of the same run."""

    datasets: dict[str, DataSet] = field(default_factory=dict)
    blobs: dict[str, Content] = field(default_factory=dict)
    chunk_minimum: int = 0  # bytes, from OCI-Chunk-Min-Length


class Context:
    """One case's view of the registry."""

    def __init__(self, config: Config, client: Client, shared: Shared) -> None:
        self.config = config
        self.client = client
        self.shared = shared
        self.repo = config.repo1
        self.repo2 = config.repo2
        self._undo: list[str] = []

    # paths

    def blob_path(self, digest: str, repo: str = "") -> str:
        """end-2, end-10"""
        return f"/v2/{repo or self.repo}/blobs/{digest}"

    def manifest_path(self, reference: str, repo: str = "") -> str:
        """end-3, end-7, end-9"""
        return f"/v2/{repo or self.repo}/manifests/{reference}"

    def uploads_path(self, query: str = "", repo: str = "") -> str:
        """end-4, end-11"""
        return f"/v2/{repo or self.repo}/blobs/uploads/{query}"

    def tags_path(self, query: str = "", repo: str = "") -> str:
        """end-8"""
        return f"/v2/{repo or self.repo}/tags/list{query}"

    def referrers_path(self, digest: str, query: str = "", repo: str = "") -> str:
        """end-12"""
        return f"/v2/{repo or self.repo}/referrers/{digest}{query}"

    def tag(self, prefix: str = "t") -> str:
        """A tag that nobody used before."""
        return f"{prefix}-{token()}"

    def unknown_repo(self) -> str:
        """A valid name of a repository that does not exist."""
        return f"{self.repo}/unknown-{token()}"

    # requests

    def get(self, path: str, **headers: str) -> Answer:
        """GET a path; keyword arguments are headers, with _ for -."""
        return self.client.request("GET", path, headers=_names(headers))

    def head(self, path: str, **headers: str) -> Answer:
        """HEAD a path; keyword arguments are headers, with _ for -."""
        return self.client.request("HEAD", path, headers=_names(headers))

    def delete(self, path: str) -> Answer:
        """DELETE a path."""
        return self.client.request("DELETE", path)

    def start_upload(self, query: str = "", repo: str = "") -> httpx.URL:
        """POST for an upload session; its location. Raises Failed unless it is 202."""
        answer = self.client.request("POST", self.uploads_path(query, repo))
        return checks.status(answer, 202).location

    def close_upload(self, location: httpx.URL, digest: str, data: bytes = b"") -> Answer:
        """The closing PUT, with or without a last piece of data."""
        url = location.copy_merge_params({"digest": digest})
        answer = self.client.request("PUT", url, headers={"Content-Type": OCTETS}, content=data)
        repository, ours, _ = location.path.rpartition("/blobs/uploads/")
        if answer.status == 201 and ours:
            self._undo.append(f"{repository}/blobs/{digest}")
        return answer

    def push_blob(self, content: Content, repo: str = "") -> Content:
        """Push a blob by POST and PUT; returns it. Raises Failed unless it is stored."""
        checks.status(self.close_upload(self.start_upload(repo=repo), content.digest, content.data), 201)
        return content

    def put_manifest(
        self, content: Content, reference: str = "", repo: str = "", *, content_type: str = "", query: str = ""
    ) -> Answer:
        """PUT a manifest by tag, or by its digest; whatever the answer is."""
        path = self.manifest_path(reference or content.digest, repo) + query
        headers = {"Content-Type": content_type or content.media_type}
        self._undo.append(self.manifest_path(content.digest, repo))
        return self.client.request("PUT", path, headers=headers, content=content.data)

    def push_manifest(self, content: Content, *references: str, repo: str = "") -> Content:
        """PUT a manifest by its digest, or by each of the references. Raises Failed unless it is stored."""
        for reference in references or ("",):
            checks.status(self.put_manifest(content, reference, repo), 201)
        return content

    def push(self, artifact: Artifact, *references: str, repo: str = "") -> Content:
        """Push an artifact's blobs and its manifest; returns the manifest."""
        for item in dict.fromkeys(artifact.blobs):
            self.push_blob(item, repo)
        return self.push_manifest(artifact.manifest, *references, repo=repo)

    def push_image(self, *references: str, repo: str = "", **more: Any) -> Content:
        """Push a small image; keyword arguments are fields of its manifest. Returns the manifest."""
        return self.push(simple_image(layers=1, **more), *references, repo=repo)

    def tags(self, repo: str = "") -> list[str]:
        """All tags of a repository, following every page. Raises Failed when a page makes no progress."""
        found: list[str] = []
        for page in self.pages(self.tags_path(repo=repo)):
            found += page.json()["tags"] or []
        return found

    def referrers(self, digest: str, query: str = "", repo: str = "") -> list[Json]:
        """All referrers of a digest, following every page."""
        found: list[Json] = []
        for page in self.pages(self.referrers_path(digest, query, repo)):
            found += page.json()["manifests"]
        return found

    def pages(self, path: str) -> Iterator[Answer]:
        """Each page of a list, by Link. Raises Failed on anything but 200 and on a link that comes twice."""
        seen: set[str] = set()
        url = path
        while url:
            answer = checks.status(self.client.request("GET", url), 200)
            yield answer
            seen.add(url)
            url = checks.next_link(answer)
            if url in seen:
                raise Failed(f"{answer}: its Link leads back to {url}")

    def parallel(self, work: Callable[[T], R], items: Iterable[T], *, threads: int = 8) -> list[R]:
        """The results of work on every item at once, in the items' order."""
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(work, items))

    # the end

    def tidy(self) -> None:
        """Delete what the case pushed, newest first, if the switches allow deleting; failures don't matter."""
        manifests = self.config.switches["apis.manifests.delete"]
        blobs = self.config.switches["apis.blobs.delete"]
        for path in dict.fromkeys(reversed(self._undo)):
            if manifests if "/manifests/" in path else blobs:
                with contextlib.suppress(Failed):
                    self.client.request("DELETE", path)
        self._undo.clear()


def _names(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
