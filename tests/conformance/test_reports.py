"""What a run says about itself: verdicts, reasons, the three reports, tables of several registries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from gati_conformance import compare, report
from gati_conformance.__main__ import main
from gati_conformance.client import Client, Exchange, mask
from gati_conformance.context import Context
from gati_conformance.entries import API_ENTRIES, DATA_ENTRIES, OFFICIAL_ENTRIES, PING, entry_statuses
from gati_conformance.model import Case, Failed, Result, Skipped, Status, Unsupported
from gati_conformance.runner import Run, run, select
from tests.conformance.running import command, configuration
from tests.support.server import RegistryProcess, free_port

CONFIG = configuration("127.0.0.1:1", OCI_USERNAME="alice", OCI_PASSWORD="hush-hush")


def _case(name: str, work: Callable[[Context], None] = lambda _: None, **more: Any) -> Case:
    return Case(id=f"group/{name}", title=f"The rule <{name}>", run=work, **more)


def _raising(problem: Exception) -> Callable[[Context], None]:
    def work(_: Context) -> None:
        raise problem

    return work


def _run(*cases: Case) -> Run:
    return run(CONFIG, cases)


def test_a_run_without_cases_is_no_pass() -> None:
    finished = _run()
    assert not finished.passed
    assert "no case ran" in report.verdict(finished)


def test_a_run_of_skips_alone_is_no_pass() -> None:
    finished = _run(_case("a", _raising(Skipped("not here"))), _case("b", requires=("data.sparse",)))
    assert [result.status for result in finished.results] == [Status.SKIP, Status.DISABLED]
    assert not finished.passed


def test_what_a_case_raises_decides_its_status() -> None:
    cases = (
        _case("good"),
        _case("bad", _raising(Failed("expected 1, got 2"))),
        _case("skipped", _raising(Skipped("nothing to see"))),
        _case("unsupported", _raising(Unsupported("405"))),
        _case("broken", _raising(ZeroDivisionError("a bug"))),
        _case("after-bad", after=("group/bad",)),
        _case("after-good", after=("group/good",)),
    )
    finished = _run(*cases)
    assert [(result.status, result.reason) for result in finished.results] == [
        (Status.PASS, ""),
        (Status.FAIL, "expected 1, got 2"),
        (Status.SKIP, "nothing to see"),
        (Status.SKIP, "405"),
        (Status.ERROR, "ZeroDivisionError: a bug"),
        (Status.SKIP, "group/bad did not pass"),
        (Status.PASS, ""),
    ]
    assert not finished.passed


def test_a_switch_that_is_off_disables_and_says_which() -> None:
    (result,) = _run(_case("sparse", requires=("data.sparse",))).results
    assert (result.status, result.reason) == (Status.DISABLED, "OCI_DATA_SPARSE is off at OCI_VERSION=1.1+dev")


def test_a_skip_needs_a_reason() -> None:
    with pytest.raises(ValueError, match="a skip needs a reason"):
        Skipped(" ")
    with pytest.raises(ValueError, match="needs a reason"):
        Result(_case("a"), Status.SKIP)


def _ask(ctx: Context) -> None:
    ctx.get("/v2/")


def test_a_broken_connection_is_the_registrys_failure() -> None:
    config = configuration(f"127.0.0.1:{free_port()}")
    (result,) = run(config, [_case("ask", _ask)]).results
    assert result.status is Status.FAIL
    assert "ConnectError" in result.reason
    assert result.exchanges[0].status == 0


def test_an_entry_shows_its_worst_case() -> None:
    good = Result(_case("good", entries=(PING,)), Status.PASS)
    bad = Result(_case("bad", entries=(PING,)), Status.FAIL, "reason")
    assert entry_statuses([good])[PING] is Status.PASS
    assert entry_statuses([good, bad, good])[PING] is Status.FAIL
    assert entry_statuses([])[PING] is Status.UNKNOWN


def test_credit_is_given_for_a_pass_alone() -> None:
    case = _case("push", credits=(PING,))
    assert entry_statuses([Result(case, Status.PASS)])[PING] is Status.PASS
    assert entry_statuses([Result(case, Status.FAIL, "reason")])[PING] is Status.UNKNOWN


def test_results_yaml_has_the_official_form() -> None:
    document = yaml.safe_load(report.results_yaml(_run(_case("good"), _case("bad", _raising(Failed("why"))))))
    assert set(document["apis"]) == set(API_ENTRIES)
    assert set(document["data"]) == set(DATA_ENTRIES)
    assert len(OFFICIAL_ENTRIES) == 52
    assert document["config"]["apis"]["blobs"]["uploadCancel"] is True
    assert document["config"]["data"]["sparse"] is False
    assert document["summary"]["passed"] is False
    assert document["summary"]["counts"]["Pass"] == 1
    assert document["cases"][1] == {
        "id": "group/bad",
        "title": "The rule <bad>",
        "level": "must",
        "status": "FAIL",
        "reason": "why",
    }


def test_junit_counts_what_it_lists() -> None:
    finished = _run(
        _case("good"),
        _case("bad", _raising(Failed("control \x00 character"))),
        _case("skipped", _raising(Skipped("why not"))),
        _case("off", requires=("data.sparse",)),
        _case("broken", _raising(KeyError("x"))),
    )
    root = ElementTree.fromstring(report.junit(finished))
    (suite,) = root.findall("testsuite")
    for node in (root, suite):
        assert [node.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["5", "1", "1", "2"]
    assert [len(suite.findall(f"testcase/{kind}")) for kind in ("failure", "error", "skipped")] == [1, 1, 2]
    assert [node.get("message") for node in suite.findall("testcase/skipped")] == [
        "why not",
        "OCI_DATA_SPARSE is off at OCI_VERSION=1.1+dev",
    ]
    assert [node.get("message") for node in suite.findall("testcase/failure")] == ["control ? character"]


def test_the_page_is_self_contained_and_escaped(tmp_path: Path) -> None:
    report.write(_run(_case("bad", _raising(Failed("<script>alert(1)</script>")))), tmp_path / "new" / "folder")
    page = (tmp_path / "new" / "folder" / "report.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "http-equiv" not in page
    assert "src=" not in page


def test_secrets_are_masked_everywhere(tmp_path: Path, registry: RegistryProcess) -> None:
    """In headers, URLs, JSON bodies and the configuration: reports are published."""
    config = configuration(registry.host, OCI_USERNAME="alice", OCI_PASSWORD="hush-hush")

    def work(ctx: Context) -> None:
        ctx.client.request("GET", "/v2/?_state=hush-hush&token=hush-hush", authorization="Bearer hush-hush")
        ctx.client.request("POST", "/v2/", content=b'{"password": "hush-hush", "access_token":"hush-hush"}')
        ctx.client.request("GET", "/v2/", headers={"Cookie": "hush-hush"})
        raise Failed("for the exchanges")

    finished = run(config, [_case("bad", work)])
    assert len(finished.results[0].exchanges) >= 3
    report.write(finished, tmp_path)
    for name in ("results.yaml", "junit.xml", "report.html"):
        assert "hush-hush" not in (tmp_path / name).read_text(), name
    assert "hush-hush" not in report.summary(finished)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("/v2/a/blobs/uploads/1?_state=abc&digest=sha256:0", "/v2/a/blobs/uploads/1?_state=***&digest=sha256:0"),
        ('{"token":"abc","expires_in":60}', '{"token":"***","expires_in":60}'),
        ("https://s3/x?X-Amz-Signature=abc&X-Amz-Date=1", "https://s3/x?X-Amz-Signature=***&X-Amz-Date=***"),
        ("nothing secret here: tokens are listed", "nothing secret here: tokens are listed"),
    ],
)
def test_mask(text: str, masked: str) -> None:
    assert mask(text) == masked


def test_bodies_are_cut_in_reports(registry: RegistryProcess) -> None:
    client = Client(configuration(registry.host))
    try:
        client.request("PUT", "/v2/a/manifests/b", content=b"x" * 100_000)
        client.request("PUT", "/v2/a/manifests/b", content=bytes(range(256)))
    finally:
        client.close()
    text, binary = client.exchanges
    assert text.request_body.endswith("(cut: 100000 bytes in all)")
    assert len(text.request_body) < 5_000
    assert binary.request_body == "(256 bytes that are no text)"


def test_an_exchange_without_an_answer_says_why() -> None:
    exchange = Exchange("GET", "http://h/", (("a", "b"),), "", 0, (), "", "ConnectError: refused")
    assert exchange.text() == "> GET http://h/\n> a: b\n! ConnectError: refused"


def test_the_command_writes_reports_and_says_what_came(tmp_path: Path, registry: RegistryProcess) -> None:
    finished, document = command(registry.host, tmp_path / "results", "--only", "ping", "--only", "errors/blob-*")
    assert finished.returncode == 0, finished.stderr
    assert [case["id"] for case in document["cases"]] == ["ping/ping", "errors/blob-unknown"]
    assert finished.stdout.splitlines()[-1].startswith("PASS: 2 passed, 0 failed")
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == [
        "junit.xml",
        "report.html",
        "results.yaml",
    ]


def test_the_command_fails_when_nothing_is_selected(tmp_path: Path, registry: RegistryProcess) -> None:
    finished, document = command(registry.host, tmp_path, "--only", "no-such-case")
    assert finished.returncode == 1
    assert finished.stdout.splitlines()[-1] == "FAIL: no case ran, which proves nothing"
    assert document["summary"]["passed"] is False


@pytest.mark.parametrize(
    ("arguments", "environment", "word"),
    [
        ((), {"OCI_VERSION": "9"}, "OCI_VERSION=9"),
        ((), {"OCI_API_PULLS": "1"}, "OCI_API_PULLS"),
        ((), {"OCI_DATA_SPARSE": "maybe"}, "OCI_DATA_SPARSE=maybe"),
        ((), {"OCI_CONFIGURATION": "/nonexistent.yaml"}, "OCI_CONFIGURATION"),
        (("--compare", "just-a-file.yaml"), {}, "NAME=FILE"),
    ],
)
def test_a_wrong_configuration_exits_2(
    tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, str], word: str
) -> None:
    finished, document = command("127.0.0.1:1", tmp_path, *arguments, environment=environment)
    assert finished.returncode == 2
    assert word in finished.stderr
    assert not document


def test_no_registry_there_exits_2(tmp_path: Path) -> None:
    finished, document = command(f"127.0.0.1:{free_port()}", tmp_path)
    assert finished.returncode == 2
    assert "ConnectError" in finished.stderr
    assert not document


@pytest.mark.parametrize("url", ["127.0.0.1:5000", "ftp://127.0.0.1", "http://127.0.0.1/v2", "http://"])
def test_a_url_that_is_none_exits_2(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([url]) == 2
    assert url in capsys.readouterr().err


def test_tables_of_several_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ours beside one of the official suite, which has no cases."""
    cases = select(CONFIG, only=["ranges/open", "ranges/several"])
    results = [Result(cases[0], Status.PASS), Result(cases[1], Status.SKIP, "because | of <this>")]
    (tmp_path / "ours.yaml").write_text(report.results_yaml(Run(CONFIG, tuple(results), 0.0, 0.0)))
    official = {"config": {"version": "dev"}, "apis": {"Ping": "Pass"}, "data": {"Image": "FAIL"}}
    (tmp_path / "theirs.yaml").write_text(yaml.safe_dump(official))
    assert main(["--compare", f"ours={tmp_path}/ours.yaml", f"theirs={tmp_path}/theirs.yaml"]) == 0
    table = capsys.readouterr().out
    assert "| Ping | Unknown | Pass |" in table
    assert "| **Pass** | **0 of 52** | **1 of 52** |" in table
    assert "| `open` | bytes=500- gives the rest, which is how a pull is resumed | should | Pass | - |" in table
    assert "- `ranges/several`: because \\| of &lt;this>" in table


def test_a_table_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("a: list\n")
    with pytest.raises(compare.ReportError, match="no results"):
        compare.read([f"x={tmp_path}/other.yaml"])
