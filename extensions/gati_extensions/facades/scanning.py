"""Published advisories (OSV) in the words of others' clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from gati_extensions.facades.model import ScanResults, Vulnerability
from gati_extensions.kinds.api import Version
from gati_extensions.resolve.api import Known, affects


def results(known: Sequence[Known], version: Version) -> ScanResults:
    """Of one version of the package that the advisories are about."""
    found = [_vulnerability(one) for one in known if affects(one.record, version)]
    return ScanResults(status="warning" if found else "clean", vulnerabilities=found)


def severity(word: str) -> Literal["high", "medium", "low"]:
    """In three words."""
    known: dict[str, Literal["high", "medium", "low"]] = {"critical": "high", "high": "high", "low": "low"}
    return known.get(word, "medium")


def _vulnerability(found: Known) -> Vulnerability:
    ranges, fixed = _ranges(found.record)
    aliases = [one for one in found.record.get("aliases") or () if isinstance(one, str) and one.startswith("CVE-")]
    return Vulnerability(
        id=aliases[0] if aliases else found.id,
        severity=found.severity,
        summary=str(found.record.get("summary", "")),
        affected_versions=ranges,
        fix_version=fixed,
    )


def _ranges(record: Mapping[str, Any]) -> tuple[list[str], str | None]:
    """The affected ranges as npm writes them, and the version that mends the last of them."""
    out: list[str] = []
    fixed: str | None = None
    for affected in record.get("affected") or ():
        out += [str(version) for version in affected.get("versions") or ()]
        for found in affected.get("ranges") or ():
            start = ""
            for event in found.get("events") or () if found.get("type") == "SEMVER" else ():
                if "introduced" in event:
                    start = "" if event["introduced"] == "0" else f">={event['introduced']} "
                    out.append(start.strip() or "*")
                elif "fixed" in event or "last_affected" in event:
                    fixed = event.get("fixed", fixed)
                    end = f"<{event['fixed']}" if "fixed" in event else f"<={event['last_affected']}"
                    out[-1:] = [f"{start}{end}"]
    return list(dict.fromkeys(out)), fixed
