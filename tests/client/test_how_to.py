"""The how-tos: each one's blocks are run against a registry, by a user who is logged in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from gati_client.cli.root import KINDS
from tests.client.cli.conftest import GATI, PASSWORD
from tests.client.documents import DOCS, follow
from tests.clients.client import Client
from tests.clients.registry import Registry

PAGES = sorted(path for path in (DOCS / "how-to").glob("*.md") if path.name != "README.md")


@pytest.fixture(scope="module")
def login(site: Registry, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of `alice`, who is logged in."""
    made = site.http.post(f"{site.url}/v2/_ext/identity/users", json={"name": "alice", "password": PASSWORD})
    assert made.status_code == 201, made.text
    folder = tmp_path_factory.mktemp("alice")
    environment = {
        "GATI_REGISTRY": site.url,
        "DOCKER_CONFIG": str(folder / "docker"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    Client(GATI, folder, env=environment)("login", "--username", "alice", "--password-stdin", stdin=PASSWORD)
    return environment


def test_one_for_each_kind() -> None:
    assert {path.stem for path in PAGES} == set(KINDS)
    listed = (DOCS / "how-to/README.md").read_text()
    assert all(f"({path.name})" in listed for path in PAGES)


@pytest.fixture(scope="module")
def readings(
    request: pytest.FixtureRequest, site: Registry, login: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Future[str]]]:
    """All pages that are tested, two being followed at a time."""
    wanted = {item.name for item in request.session.items}
    pages = [page for page in PAGES if f"test_by_its_own_words[{page.stem}]" in wanted]
    with ThreadPoolExecutor(2) as pool:
        yield {
            page.stem: pool.submit(follow, page, tmp_path_factory.mktemp(page.stem), site.host, login) for page in pages
        }


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_by_its_own_words(page: Path, readings: Mapping[str, Future[str]]) -> None:
    readings[page.stem].result()
