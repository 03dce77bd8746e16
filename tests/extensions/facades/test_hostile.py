"""Packages, forms and YAML that mean no good: a clear error in bounded time, and nothing stored."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gati_extensions.kinds import yaml
from gati_extensions.kinds.json import Invalid
from tests.extensions.access.support import World
from tests.extensions.facades.support import FILES, MANIFEST, archive, package, send, spec

pytestmark = pytest.mark.anyio

CONTENT = dict.fromkeys(FILES, b"x")


def member(change: Callable[[tarfile.TarInfo], None]) -> bytes:
    """A good package and one more member."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for name, data in {"spec.yaml": MANIFEST.encode(), **CONTENT}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        info = tarfile.TarInfo("more")
        change(info)
        tar.addfile(info)
    return gzip.compress(plain.getvalue())


def named(name: str) -> bytes:
    """With a member of this name."""
    return member(lambda info: setattr(info, "name", name))


def link(info: tarfile.TarInfo) -> None:
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"


def device(info: tarfile.TarInfo) -> None:
    info.type = tarfile.CHRTYPE


def negative() -> bytes:
    """An archive whose second header says a size below zero, in the base-256 form."""
    head = bytearray(tarfile.TarInfo("big").tobuf(tarfile.GNU_FORMAT))
    head[124:136] = b"\xff" * 12
    head[148:156] = b" " * 8
    head[148:156] = f"{sum(head):06o}\0 ".encode()
    return gzip.compress(bytes(head) * 2)


def long_header() -> bytes:
    """Extended headers of many megabytes, which a reader would take into memory whole."""
    info = tarfile.TarInfo("spec.yaml")
    info.pax_headers = {"comment": "x" * 8_000_000}
    return gzip.compress(info.tobuf(tarfile.PAX_FORMAT))


ARCHIVES = {
    "nothing": b"",
    "text": b"no archive at all",
    "cut short": package()[:200],
    "no gzip": gzip.decompress(package()),
    "no manifest": archive(CONTENT),
    "two folders": archive({"a/spec.yaml": MANIFEST.encode(), "b/c": b""}, folder=""),
    "too deep": archive({"a/b/spec.yaml": MANIFEST.encode()}, folder=""),
    "leads out": named("../../etc/passwd"),
    "absolute": named("/etc/passwd"),
    "backslash": named("a\\..\\b"),
    "link": member(link),
    "device": member(device),
    "negative size": negative(),
    "long header": long_header(),
    "bomb": gzip.compress(b"\0" * 512 * 3 + tarfile.TarInfo("x").tobuf() + b"\0" * 400_000_000, 9),
    "many files": archive({f"f{number}": b"" for number in range(10_100)}),
    "lacks files": package(MANIFEST, "specs/main.tla"),
    "large manifest": package(MANIFEST + "#" * 300_000),
}

YAMLS = {
    "no mapping": "- a\n- b\n",
    "empty": "",
    "text": "just text",
    "not closed": 'name: "x',
    "twice": "name: a\nname: b\n",
    "two documents": f"{MANIFEST}\n---\n{MANIFEST}",
    "python object": "name: !!python/object/apply:os.system ['true']\n",
    "own tag": "name: !mine x\n",
    "binary": "name: !!binary aGVsbG8=\n",
    "list as key": "? [a, b]\n: c\n",
    "NUL": 'name: "a\\0b"\n',
    "surrogate": 'name: "\\ud800"\n',
    "bell": "name: \x07\n",
    "unknown alias": "name: *nowhere\n",
    "own alias": "a: &a [*a]\n",
    "deep": "a: " + "[" * 5000 + "]" * 5000,
    "deep blocks": "".join("  " * level + "a:\n" for level in range(300)),
    "bomb": "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    ),
    "many": "a: [" + "1," * 30_000 + "1]",
    "wrong types": spec("x", "1.0.0", tests="not a list"),
    "no version": MANIFEST.replace('version: "1.2.3"', 'version: "newest"'),
    "number as version": MANIFEST.replace('version: "1.2.3"', "version: 1.2"),
}  # fmt: skip


async def test_no_package_of_it(site: World) -> None:
    alice = site.user("alice")
    for what, data in ARCHIVES.items():
        answer = await send(alice, "/api/v1/publish", package=data)
        assert answer.status == 400, (what, answer)
        assert answer.json()["errors"][0]["message"], what
        assert (await send(alice, "/api/v1/verify", package=data)).status in (400, 404), what
    for what, text in YAMLS.items():
        answer = await send(alice, "/api/v1/publish", package=package(text, *FILES))
        assert (answer.status, answer.codes) == (400, ["MANIFEST_INVALID"]), (what, answer)
    assert (await alice.done("GET", "/v2/_catalog"))["repositories"] == []


async def test_malformed_forms_are_told_so(site: World) -> None:
    alice = site.user("alice")
    good = b'--b\r\nContent-Disposition: form-data; name="package"\r\n\r\nx\r\n--b--\r\n'
    for body, status in (
        (b"", 400), (b"--b--", 400), (good[:-6], 400), (good.replace(b'name="package"', b""), 400),
        (good.replace(b"--b--", b"--b") + good, 400), (b"--c" + good, 400),
        (good.replace(b"package", b"other"), 400), (b"--b\r\n" + b"X: " + b"y" * 5000 + good[3:], 400),
    ):  # fmt: skip
        headers = {"Content-Type": "multipart/form-data; boundary=b", "Content-Length": str(len(body))}
        answer = await alice.client.request("POST", "/api/v1/publish", body, headers)
        assert answer.status == status, (body, answer)
    for kind in ("application/json", "multipart/form-data", "multipart/form-data; boundary="):
        answer = await alice.client.request("POST", "/api/v1/publish", good, {"Content-Type": kind})
        assert answer.status == 415, kind
    large = await send(alice, "/api/v1/publish", package=b"x" * (17 * 1024 * 1024))
    assert large.status == 413


@given(st.text(max_size=200))
def test_any_text_is_yaml_or_is_refused(text: str) -> None:
    try:
        data = text.encode()
    except UnicodeEncodeError:
        return
    try:
        found = yaml.strict(data)
    except Invalid:
        return
    assert all(isinstance(key, str) for key in found)


_keys = st.text("abcxyz", min_size=1, max_size=4)
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text("abc 1.:-#yn~é\n\"'", max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(st.dictionaries(_keys, _values, max_size=4), st.booleans())
def test_what_a_library_writes_is_read_as_it_was(document: dict[str, object], flow: bool) -> None:
    import yaml as library

    written = library.safe_dump(document, default_flow_style=flow, allow_unicode=True)
    assert yaml.strict(written.encode()) == document
