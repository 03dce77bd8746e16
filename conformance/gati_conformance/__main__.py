"""The command: `python -m gati_conformance http://HOST[:PORT]`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import fill
from urllib.parse import urlsplit

from gati_conformance import compare, report
from gati_conformance.client import Client
from gati_conformance.config import SWITCHES, Config, ConfigError, load
from gati_conformance.entries import cases_by_entry
from gati_conformance.model import Failed, Level, Result, Status
from gati_conformance.runner import run, select

OK, FAILED, WRONG_USAGE = 0, 1, 2

_EPILOG = f"""\
Every setting of the official OCI suite works here with its meaning: OCI_REGISTRY, OCI_TLS, OCI_REPO1, OCI_REPO2,
OCI_USERNAME, OCI_PASSWORD, OCI_CACHE_AUTH, OCI_VERSION, OCI_RESULTS_DIR, OCI_FILTER_TEST, OCI_LOG, OCI_CONFIGURATION
(a YAML file), OCI_RO_DATA_TAGS, _MANIFESTS, _BLOBS, _REFERRERS, and the switches (true or false)
{fill(", ".join(switch.variable for switch in SWITCHES.values()), 118)}.
A flag goes before a variable, a variable before the file.

exit code: 0 at least one case ran and none failed; 1 a case failed, or none ran; 2 wrong usage or configuration,
or no registry answers at that address.

examples:
  OCI_VERSION=dev python -m gati_conformance http://127.0.0.1:5000
  python -m gati_conformance https://registry.example.com --spec 1.1 --repo1 me/one --repo2 me/two --level must
  python -m gati_conformance http://127.0.0.1:5000 --only 'referrers' --only 'uploads/patch-*'
  python -m gati_conformance --compare ours=a/results.yaml theirs=b/results.yaml > table.md
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gati_conformance",
        description="Check a running OCI registry against the distribution specification, and beyond.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("url", nargs="?", help="http://HOST[:PORT] or https://…; default: OCI_REGISTRY and OCI_TLS")
    parser.add_argument("--spec", default="", metavar="VERSION", help="1.0, 1.1, stable or dev (OCI_VERSION)")
    parser.add_argument("--repo1", metavar="NAME", help="repository to work in (OCI_REPO1)")
    parser.add_argument("--repo2", metavar="NAME", help="another, for mounts (OCI_REPO2)")
    parser.add_argument("--username", metavar="NAME", help="OCI_USERNAME; the password is read from OCI_PASSWORD")
    parser.add_argument("--insecure", action="store_true", help="take any certificate (OCI_TLS=insecure)")
    parser.add_argument("--results", metavar="DIR", help="where the reports go (OCI_RESULTS_DIR, ./results)")
    parser.add_argument(
        "--level",
        choices=[level.value for level in Level],
        default=Level.EXPECTED.value,
        help="run what the specification demands (must), also what it recommends (should), or also what clients "
        "rely on (expected, the default)",
    )
    parser.add_argument("--official", action="store_true", help="run only what the official suite checks too")
    parser.add_argument(
        "--only", action="append", default=[], metavar="PATTERN", help="only cases with such ids; may be repeated"
    )
    parser.add_argument("--list", action="store_true", help="print the cases instead of running them")
    parser.add_argument("--entries", action="store_true", help="print which cases decide each official entry")
    parser.add_argument(
        "--compare",
        nargs="+",
        metavar="NAME=FILE",
        help="print a Markdown table of several results.yaml, ours or the official suite's",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.compare:
            print(compare.render(compare.read(options.compare)))
            return OK
        config = _configure(options)
    except (ConfigError, compare.ReportError) as problem:
        print(f"configuration: {problem}", file=sys.stderr)
        return WRONG_USAGE
    cases = select(config, only=options.only, level=Level(options.level), official=options.official)
    if options.list:
        for case in cases:
            print(f"{case.id}\t{case.level.value}\t{case.title}")
        return OK
    if options.entries:
        for entry, ids in cases_by_entry(cases).items():
            print(f"{entry}: {', '.join(ids)}")
        return OK
    if silence := _unreachable(config):
        print(f"configuration: {silence}", file=sys.stderr)
        return WRONG_USAGE
    finished = run(config, cases, report=_reporter(config))
    print(report.summary(finished))
    report.write(finished, Path(config.results_dir))
    return OK if finished.passed else FAILED


def _configure(options: argparse.Namespace) -> Config:
    config = load(os.environ, version=options.spec)
    if options.url:
        parts = urlsplit(options.url)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/") or parts.query:
            raise ConfigError(f"{options.url}: use http://HOST[:PORT] or https://HOST[:PORT]")
        secure = config.tls if config.tls == "insecure" else "enabled"
        config = replace(config, registry=parts.netloc, tls="disabled" if parts.scheme == "http" else secure)
    if options.insecure and config.tls != "disabled":
        config = replace(config, tls="insecure")
    given = {"repo1": options.repo1, "repo2": options.repo2, "username": options.username}
    given["results_dir"] = options.results
    return replace(config, **{name: value for name, value in given.items() if value})


def _unreachable(config: Config) -> str:
    """Why no registry answers there; empty when one does. Any answer at all will do."""
    client = Client(config)
    try:
        client.request("GET", "/v2/", authorization="")
    except Failed as problem:
        return f"{config.url}: {problem}"
    finally:
        client.close()
    return ""


def _reporter(config: Config) -> Callable[[Result], None]:
    """Progress on standard error, as much as OCI_LOG asks for."""
    loud = config.logging in ("debug", "info")

    def tell(result: Result) -> None:
        if loud or result.status in (Status.FAIL, Status.ERROR):
            print(f"{result.status.word}: {result.case.id}: {result.reason}", file=sys.stderr)
        if config.logging == "debug":
            for exchange in result.exchanges:
                print(exchange.text(), file=sys.stderr)

    return tell


if __name__ == "__main__":
    sys.exit(main())
