"""A real LDAP server on loopback (OpenLDAP's slapd), in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.clients.programs import SYSTEM_FOLDERS, require
from tests.support.server import free_port

BASE = "dc=corp,dc=example"
PEOPLE, GROUPS = f"ou=people,{BASE}", f"ou=groups,{BASE}"
ROOT, ROOT_PASSWORD = f"cn=root,{BASE}", "root's own password"
READER, READER_PASSWORD = f"cn=reader,{BASE}", "reader's own password"

_CONFIGURATION = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
pidfile {folder}/pid
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
sizelimit 50
database mdb
suffix "{base}"
rootdn "{root}"
rootpw "{root_password}"
directory {folder}/data
maxsize 16777216
index objectClass,uid,entryUUID,member eq
overlay memberof
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{reader}" read by self read by * none
"""

_FIRST = f"""
dn: {BASE}
objectClass: domain
dc: corp

dn: {PEOPLE}
objectClass: organizationalUnit
ou: people

dn: {GROUPS}
objectClass: organizationalUnit
ou: groups

dn: {READER}
objectClass: person
cn: reader
sn: reader
userPassword: {READER_PASSWORD}
"""


class Slapd:
    """One server; it can be stopped, frozen and started again on the same data and ports."""

    def __init__(self, folder: Path, certificate: tuple[Path, Path]) -> None:
        self.program = require("slapd", "ldapmodify")
        self.port, self.tls_port = free_port(), free_port()
        self.url, self.tls_url = f"ldap://127.0.0.1:{self.port}", f"ldaps://127.0.0.1:{self.tls_port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "data").mkdir()
        (folder / "slapd.conf").write_text(
            _CONFIGURATION.format(
                folder=folder,
                certificate=certificate[0],
                key=certificate[1],
                base=BASE,
                root=ROOT,
                root_password=ROOT_PASSWORD,
                reader=READER,
            )
        )
        self.start()
        self.change(_FIRST, "-a")

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self.program, "-d", "0", "-h", f"{self.url} {self.tls_url}", "-f", self._folder / "slapd.conf"],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 120
        while self._tool("ldapwhoami").returncode != 0:
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline, "the server does not come up"
            time.sleep(0.05)

    def stop(self) -> None:
        """No error if it is stopped."""
        if self._process is not None:
            self.thaw()
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def freeze(self) -> None:
        """Stand still: connections are taken and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def change(self, ldif: str, *options: str) -> None:
        """Carry out changes as LDIF has them; with `-a`, entries to add."""
        result = self._tool("ldapmodify", *options, text=ldif)
        assert result.returncode == 0, result.stderr

    def add_user(self, name: str, password: str, **more: str) -> str:
        """A person; their DN."""
        dn = f"uid={name},{PEOPLE}"
        lines = [f"dn: {dn}", "objectClass: inetOrgPerson", f"uid: {name}", f"cn: {name.title()}", f"sn: {name}"]
        lines += [f"userPassword: {password}", *(f"{key}: {value}" for key, value in more.items())]
        self.change("\n".join(lines) + "\n", "-a")
        return dn

    def add_group(self, name: str, *members: str) -> None:
        """A group of people (DNs)."""
        lines = [f"dn: cn={name},{GROUPS}", "objectClass: groupOfNames", f"cn: {name}"]
        self.change("\n".join([*lines, *(f"member: {member}" for member in members)]) + "\n", "-a")

    def set(self, dn: str, attribute: str, *values: str) -> None:
        """Replace an attribute."""
        lines = [f"dn: {dn}", "changetype: modify", f"replace: {attribute}", *(f"{attribute}: {v}" for v in values)]
        self.change("\n".join(lines) + "\n")

    def _tool(self, name: str, *options: str, text: str = "") -> subprocess.CompletedProcess[str]:
        path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), SYSTEM_FOLDERS]))
        assert path is not None
        return subprocess.run(
            [path, "-x", "-H", self.url, "-D", ROOT, "-w", ROOT_PASSWORD, *options],
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@contextlib.contextmanager
def running_slapd(certificate: tuple[Path, Path]) -> Iterator[Slapd]:
    """A server for the length of a `with` block."""
    require("slapd", "ldapmodify")
    with tempfile.TemporaryDirectory(prefix="gati-ldap-") as folder:
        server = Slapd(Path(folder), certificate)
        try:
            yield server
        finally:
            server.stop()
