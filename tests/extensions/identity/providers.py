"""Providers to log in by: a certified OpenID Connect provider, and a browser that goes through its pages."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx

from tests.clients.programs import require
from tests.extensions.identity.support import ADMIN_PASSWORD, EXT, RULES
from tests.support.server import RegistryProcess, free_port

CLIENT, SECRET = "registry", "the client's secret, with % and + in it"

ALICE = {
    "name": "Alice A.",
    "email": "alice@corp.example",
    "email_verified": True,
    "groups": ["engineering"],
}
BOB = {
    "name": "Bob",
    "email": "bob@elsewhere.example",
    "email_verified": True,
    "groups": [],
}


def callback(url: str, provider: str) -> str:
    """Where a provider sends browsers back to."""
    return f"{url}{EXT}/federation/{provider}/callback"


@contextlib.contextmanager
def running_issuer(
    redirect_uris: Sequence[str], accounts: Mapping[str, Any], secret: str = SECRET, **client: Any
) -> Iterator[str]:
    """The issuer's URL."""
    package = require("oidc-provider")
    registered = {"client_id": CLIENT, "client_secret": secret, "redirect_uris": list(redirect_uris), **client}
    environment = {
        **os.environ,
        "ISSUER_PACKAGE": str(package),
        "ISSUER_CONFIG": json.dumps({"clients": [registered], "accounts": accounts}),
    }
    process = subprocess.Popen(
        ["node", str(Path(__file__).with_name("issuer.mjs"))],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    timer = threading.Timer(120, process.kill)
    timer.start()
    try:
        line = process.stdout.readline().strip()
        assert line.startswith("http"), process.stderr.read()
        drained = threading.Thread(target=process.stderr.read, daemon=True)
        drained.start()
        timer.cancel()
        yield line
    finally:
        timer.cancel()
        process.kill()
        process.wait()
        drained.join(30)
        process.stdout.close()
        process.stderr.close()


def provider(folder: Path, name: str, issuer: str, *, secret: str = SECRET, **more: Any) -> dict[str, Any]:
    """A provider as the settings have it."""
    path = folder / f"{name}.secret"
    path.write_text(secret + "\n")
    return {
        "id": name,
        "issuer": issuer,
        "client_id": CLIENT,
        "client_secret_file": str(path),
        "create_accounts": True,
        **more,
    }


@contextlib.contextmanager
def registry(
    folder: Path, providers: Sequence[Mapping[str, Any]], *, port: int, networks: str = "127.0.0.0/8", **env: str
) -> Iterator[RegistryProcess]:
    """A real server with these providers."""
    password = folder / "password"
    password.write_text(ADMIN_PASSWORD)
    environment = {
        "GATI_ADMIN_PASSWORD_FILE": str(password),
        "GATI_EXTENSIONS": "identity,rules",
        "GATI_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "GATI_IDENTITY__PROVIDERS": json.dumps(list(providers)),
        "GATI_IDENTITY__ALLOWED_NETWORKS": networks,
        "PYTHONPATH": str(RULES),
        **env,
    }
    server = RegistryProcess(folder / "data", args=("--workers", "1"), env=environment, port=port).start(timeout=60)
    try:
        yield server
    finally:
        try:
            server.terminate()
        except subprocess.TimeoutExpired:
            server.kill()


class Browser:
    """Keeps cookies and follows redirects, one by one; `seen` are the places where it has been."""

    def __init__(self, registry: str) -> None:
        self.registry = registry
        self.http = httpx.Client(timeout=60)
        self.seen: list[str] = []

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def ext(self, method: str, path: str, **more: Any) -> httpx.Response:
        """A request to the registry's extension, as its own pages send it."""
        headers = {"Sec-Fetch-Site": "same-origin", **more.pop("headers", {})}
        return self.http.request(method, f"{self.registry}{EXT}/{path}", headers=headers, **more)

    def follow(self, answer: httpx.Response, until: str = "") -> httpx.Response:
        """Go where one is sent; stop before an address that begins with `until`."""
        while answer.is_redirect:
            target = urljoin(str(answer.url), answer.headers["location"])
            if until and target.startswith(until):
                return answer
            self.seen.append(target)
            answer = self.http.get(target)
        return answer

    def submit(self, page: httpx.Response, **fields: str) -> httpx.Response:
        """Send the page's form."""
        action = re.search(r'<form[^>]*action="([^"]+)"', page.text)
        assert action is not None, page.text
        hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]+)"', page.text))
        return self.http.post(urljoin(str(page.url), unescape(action[1])), data={**hidden, **fields})

    def to_provider(self, name: str, query: str = "") -> httpx.Response:
        """Begin; the provider's first page, or where it sends back to at once because it knows this browser."""
        return self.follow(self.ext("GET", f"federation/{name}/login{query}"), callback(self.registry, name))

    def consent(self, page: httpx.Response, login: str, name: str) -> httpx.Response:
        """Log in and agree at the provider; the answer that sends back to the registry."""
        back = callback(self.registry, name)
        if page.is_redirect:
            return page
        answer = self.follow(self.submit(page, login=login, password="any"), back)
        if not answer.is_redirect:
            answer = self.follow(self.submit(answer), back)
        assert answer.is_redirect, answer.text
        return answer

    def log_in(self, name: str, login: str, query: str = "") -> httpx.Response:
        """All of it; the callback's answer."""
        return self.come_back(self.consent(self.to_provider(name, query), login, name))

    def come_back(self, answer: httpx.Response) -> httpx.Response:
        """Go to the callback."""
        return self.http.get(answer.headers["location"])

    def forget(self) -> None:
        """Be a new browser."""
        self.http.cookies.clear()

    def me(self) -> httpx.Response:
        """Who the registry takes us for."""
        return self.ext("GET", "me")

    def act(self, method: str, path: str, **more: Any) -> httpx.Response:
        """An unsafe request in the session."""
        token = self.me().json()["csrf_token"]
        return self.ext(method, path, headers={"X-CSRF-Token": token}, **more)


def new_port() -> int:
    """For a registry whose address its providers have to know first."""
    return free_port()
