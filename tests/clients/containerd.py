"""A containerd of the tests' own, and a kubelet's calls to it by CRI (the Container Runtime Interface)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc

from tests.clients.client import Client
from tests.clients.daemon import daemon
from tests.clients.programs import require, require_root

PULL_SECONDS = 120


class PullRefused(Exception):
    """containerd answered a CRI call with an error; the message is its own."""


@dataclass(frozen=True, slots=True)
class Containerd:
    """A running containerd."""

    socket: Path
    hosts: Path  # its certs.d: how each registry's name is reached

    def reach(self, name: str, url: str) -> None:
        """Images whose reference begins with `name` are pulled from the registry at `url`."""
        folder = self.hosts / name
        folder.mkdir(exist_ok=True)
        (folder / "hosts.toml").write_text(f'server = "{url}"\n[host."{url}"]\n  capabilities = ["pull", "resolve"]\n')

    def ctr(self, home: Path) -> Client:
        """The ctr command."""
        return Client(require("ctr"), home, first=("--address", str(self.socket), "--namespace", "tests"))

    def pull(self, image: str, *, auth: tuple[str, str] | None = None) -> str:
        """What a kubelet does: ImageService.PullImage; returns the image's id. Raises PullRefused."""
        credentials = {2: message({1: auth[0].encode(), 2: auth[1].encode()})} if auth else {}
        answer = self._call("PullImage", message({1: message({1: image.encode()})} | credentials))
        return answer[1][0].decode()

    def image(self, image: str) -> tuple[str, list[str]]:
        """ImageService.ImageStatus: the image's id and its references by digest."""
        status = self._call("ImageStatus", message({1: message({1: image.encode()})}))
        found = fields(status[1][0])
        return found[1][0].decode(), [value.decode() for value in found.get(3, [])]

    def _call(self, method: str, request: bytes) -> dict[int, list[bytes]]:
        # The default authority would be the socket's path, which gRPC's server refuses.
        options = [("grpc.default_authority", "localhost")]
        with grpc.insecure_channel(f"unix://{self.socket}", options=options) as channel:
            call = channel.unary_unary(f"/runtime.v1.ImageService/{method}")
            try:
                return fields(call(request, timeout=PULL_SECONDS))
            except grpc.RpcError as error:
                raise PullRefused(error.details()) from error


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Containerd]:
    """Run containerd in the folder (keep its path short: it holds sockets)."""
    require_root()
    binary = require("containerd", "ctr", "runc")
    found = Containerd(folder / "c.sock", folder / "certs.d")
    found.hosts.mkdir()
    config = folder / "config.toml"
    config.write_text(
        f"""\
version = 2
root = "{folder / "root"}"
state = "{folder / "state"}"
[grpc]
  address = "{found.socket}"
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "{found.hosts}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder / "opt"}"
"""
    )
    probe = found.ctr(folder)
    with daemon([binary, "--config", config], folder / "containerd.log", lambda: probe.run("version")[0] == 0):
        yield found


def message(values: Mapping[int, bytes]) -> bytes:
    """A protobuf message of length-delimited fields (strings, messages) by their number (below 16).

    Enough for the CRI requests used here: key = number << 3 | wire type 2, length as varint, bytes.
    Source: Kubernetes cri-api, pkg/apis/runtime/v1/api.proto; protobuf.dev, "Encoding".
    """
    encoded = bytearray()
    for number, value in values.items():
        encoded += bytes([number << 3 | 2]) + _varint(len(value)) + value
    return bytes(encoded)


def fields(data: bytes) -> dict[int, list[bytes]]:
    """The length-delimited fields of a protobuf message by number; numbers and booleans are passed over."""
    found: dict[int, list[bytes]] = {}
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        value, at = _read_varint(data, at)
        if key & 7 == 2:
            found.setdefault(key >> 3, []).append(data[at : at + value])
            at += value
        else:
            assert key & 7 == 0, f"wire type {key & 7} does not occur in these messages"
    return found


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
