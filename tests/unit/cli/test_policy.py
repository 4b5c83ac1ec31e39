import json
import re
import shutil
import subprocess
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from nightlight.cli.main import app
from nightlight.delivery.access_tokens import generate_key
from nightlight_core.errors import PolicyRefused
from tests.conftest import ROOT


@pytest.fixture
def pack(tmp_path):
    shutil.copytree(ROOT / "policies", tmp_path / "p")
    return tmp_path / "p"


def run(*arguments, code=0):
    result = CliRunner().invoke(app, ["policy", *map(str, arguments)])
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def change(pack, file, old, new):
    text = (pack / file).read_text()
    assert old in text
    (pack / file).write_text(text.replace(old, new, 1))


LOOSE = (
    "rules.yaml",
    "at_most: {tier: tiny, cache_s: 3600, per_hour: 120}",
    "at_most: {tier: low, cache_s: 3600, per_hour: 120}",
)
TIGHT = (
    "rules.yaml",
    "at_most: {tier: medium, cache_s: 300, per_hour: 600}",
    "at_most: {tier: low, cache_s: 300, per_hour: 600}",
)


def test_check_tells_failing_checks_and_cases_with_their_places(pack):
    change(pack, *LOOSE)
    text = run("check", pack, code=1)
    assert "check 'outsider-tiny' fails in" in text
    assert "bound by outsider" in text
    assert "cases/outsiders.yaml:" in text
    answer = json.loads(run("check", pack, "--json", code=1))
    assert answer["ok"] is False
    assert {"outsider-tiny", "covered-adult-outsider-tiny"} <= {failure["check"] for failure in answer["failures"]}


def test_check_tells_what_parity_costs_and_warns_where_there_is_none(pack):
    assert "with 20% minors, a covered picture is a minor's" in run("check", pack)
    parity = json.loads(run("check", pack, "--json", "--minors", "0.5"))["parity"]
    assert parity["1.0"] == pytest.approx(0.5)
    assert parity["0.1"] == pytest.approx(0.5 / (0.5 + 0.5 * 0.1))
    text = (pack / "checks.yaml").read_text()
    (pack / "checks.yaml").write_text(text[: text.index("same:")])
    shutil.rmtree(pack / "regimes")  # a clause is bound to one of these
    assert "[no-parity]" in run("check", pack)


def test_check_warns_of_a_rule_that_changes_nothing(pack):
    rules = (pack / "rules.yaml").read_text()
    idle = "  - {id: idle, why: a test, when: {relation: blocked, region: uk}, at_most: {tier: none}}\n"
    (pack / "rules.yaml").write_text(rules + idle)
    assert "warning: rule 'idle' changes nothing" in run("check", pack)


def test_test_prints_a_mark_a_case_writes_junit_and_fails_when_a_case_does(pack, tmp_path):
    text = run("test", pack, "--junit", tmp_path / "cases.xml")
    assert "65 passed, 0 failed" in text
    assert len(ET.parse(tmp_path / "cases.xml").findall(".//testcase")) == 65
    assert "PASSED" in run("test", pack, "-v")
    change(pack, *TIGHT)
    text = run("test", pack, code=1)
    assert "expected tier medium, got low" in text


def test_mutate_names_the_hole(pack):
    change(pack, "checks.yaml", "  - {id: outsider-cache, where: {relation: outsider}, cache_s_at_most: 3600}\n", "")
    assert "rule 'public-outsider', cache_s loosened from 3600 to 86400" in run("mutate", pack, code=1)
    assert json.loads(run("mutate", pack, "--json", code=1))["survivors"][0]["rule"] == "public-outsider"


def test_diff_tells_same_closes_and_opens_apart_by_its_exit_status(pack):
    assert "nothing changes for anybody" in run("diff", ROOT / "policies", pack, code=0)
    change(pack, *TIGHT)
    assert "CLOSES" in run("diff", ROOT / "policies", pack, code=3)
    assert "safety must approve" in run("diff", pack, ROOT / "policies", code=4)
    assert json.loads(run("diff", pack, ROOT / "policies", "--json", code=4))["opens"] is True
    assert run("diff", pack, ROOT / "policies", "--markdown", code=4).startswith("### Policy")


def test_diff_reads_git_revisions(pack, tmp_path, monkeypatch):
    repository = tmp_path / "repository"
    shutil.copytree(pack, repository / "policies")
    monkeypatch.chdir(repository)
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q", "-b", "main"], ["add", "."], [*identity, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", *command], check=True)
    assert "nothing changes" in run("diff", "main:policies", "policies")
    change(repository / "policies", *TIGHT)
    assert "CLOSES" in run("diff", "main:policies", "policies", code=3)
    assert "OPENS" in run("diff", "policies", "main:policies", code=4)
    for wrong in ("nowhere:policies", "main:nothing", "no-such-folder"):
        result = CliRunner().invoke(app, ["policy", "diff", wrong, "policies"])
        assert result.exit_code not in {0, 3, 4}


def test_explain_says_which_inputs_decide(pack):
    text = run("explain", "subject_age=age_13_15", "relation=stranger", "region=eu", "--policy", pack)
    assert "between none and tiny, 3600 s, 120/h" in text
    assert "report_flag decides:" in text
    assert "region decides" not in text
    answer = json.loads(run("explain", "relation=self", "--policy", pack, "--json"))
    assert answer["given"]["relation"] == "self"
    assert "owner" in {applied["rule"] for applied in answer["applied"]}


@pytest.mark.parametrize("inputs", [["relation"], ["relatoin=self"], ["relation=freind"]])
def test_explain_refuses_what_it_does_not_know(pack, inputs):
    result = CliRunner().invoke(app, ["policy", "explain", *inputs, "--policy", str(pack)])
    assert result.exit_code != 0


def test_init_writes_the_default_pack_to_a_new_folder_and_never_over_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "a copy of the default pack" in run("init", "mine")
    assert "all right" in run("check", "mine")
    assert "nothing changes for anybody" in run("diff", ROOT / "policies", "mine")
    (tmp_path / "mine/rules.yaml").write_text("mine")
    assert isinstance(CliRunner().invoke(app, ["policy", "init", "mine"]).exception, PolicyRefused)
    assert (tmp_path / "mine/rules.yaml").read_text() == "mine"


def test_approve_with_mapped_words_says_how_much_of_what_is_signed_it_does_not_show(pack, tmp_path):
    (tmp_path / "key.json").write_text(json.dumps(generate_key()[0]))
    for file in ("vocabulary.yaml", "retention.yaml"):
        change(pack, file, "in, my, other]", "in, jp, my, other]")
    approve = ["approve", ROOT / "policies", pack, "--version", "2", "--key", tmp_path / "key.json", "--yes"]
    text = run(*approve, "--out", tmp_path / "approval.json", "--was", "jp=other")
    sentences = int(re.search(r"What is signed is all of it: (\d+) sentences for the safety team", text)[1])
    assert "nothing changes for anybody" in text
    assert sentences == run("diff", ROOT / "policies", pack, code=4).count("OPENS")
    assert "What is signed" not in run(*approve, "--out", tmp_path / "approval.json")


def test_schema_writes_and_notices_what_is_out_of_date(pack):
    run("schema", pack, "--check")
    change(pack, "vocabulary.yaml", "in, my, other]", "in, jp, my, other]")
    run("schema", pack, "--check", code=1)
    assert "rules.json" in run("schema", pack)
    run("schema", pack, "--check")
    assert '"jp"' in (pack / "schema/rules.json").read_text()


def test_every_command_of_policy_has_help_with_an_example():
    for command in (
        "init",
        "check",
        "test",
        "mutate",
        "diff",
        "explain",
        "comply",
        "schema",
        "build",
        "approve",
        "activate",
        "shadow",
        "stage",
        "withdraw",
        "rollback",
        "status",
        "fetch",
        "counters",
    ):
        assert "Example" in run(command, "--help"), command


def test_without_a_token_the_commands_that_call_the_service_say_what_to_set(monkeypatch):
    monkeypatch.delenv("NIGHTLIGHT_TOKEN", raising=False)
    result = CliRunner().invoke(app, ["policy", "status"])
    assert "NIGHTLIGHT_TOKEN" in str(result.exception)
