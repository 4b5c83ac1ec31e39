"""The vectors of docs/receipts: the command, the script and the page of the docs say the same of each."""

import html
import json
import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from nightlight.cli.main import app
from nightlight.retention.erasure_receipt import FORMAT, open_receipt
from nightlight.retention.receipt_chain import ReceiptKeys
from nightlight_core.errors import PolicyRefused
from tests.colour import browser
from tests.conftest import ROOT
from tests.support import receipt_vectors
from tests.support.services import missing_tool

VECTORS = json.loads(receipt_vectors.PATH.read_text())
CASES = VECTORS["cases"]
EXIT = {"whole": 0, "wrong": 1, "part": 2}


@pytest.fixture(params=CASES, ids=lambda case: case["name"])
def case(request, tmp_path):
    """One case, with its files."""
    for name in ("receipts", "anchors"):
        (tmp_path / name).write_text("".join(json.dumps(envelope) + "\n" for envelope in request.param[name]))
    (tmp_path / "jwks").write_text(json.dumps(request.param["jwks"]))
    return request.param, tmp_path


def test_the_vectors_are_those_of_the_code():
    assert receipt_vectors.vectors() == VECTORS
    assert {case["verdict"] for case in CASES} == set(EXIT)


def test_the_bytes_are_those_that_the_page_tells_of(tmp_path):
    known = VECTORS["bytes"]
    assert bytes.fromhex(known["signed_hex"]) == FORMAT.encode() + b"\n" + bytes.fromhex(known["payload_sha256"])
    (tmp_path / "jwks").write_text(json.dumps({"keys": [known["public_key"]]}))
    opened = open_receipt(known["envelope"], ReceiptKeys.read(tmp_path / "jwks").keys)
    assert opened.hash == known["payload_sha256"] == known["previous_of_the_next"]


def test_the_command_says_what_each_is(case):
    known, folder = case
    words = [
        "receipt",
        "verify",
        folder / "receipts",
        "--keys",
        folder / "jwks",
        "--anchor",
        folder / "anchors",
        "--json",
    ]
    result = CliRunner().invoke(app, list(map(str, words)))
    assert (result.exit_code, json.loads(result.stdout)["verdict"]) == (EXIT[known["verdict"]], known["verdict"])


def test_the_script_of_the_docs_says_what_each_is(case):
    known, folder = case
    script = ROOT / "docs/receipts/verify_receipts.py"
    words = [sys.executable, "-I", script, folder / "receipts", folder / "jwks", folder / "anchors"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.stdout.startswith(f"{known['verdict']}: ")
    assert ended.returncode == EXIT[known["verdict"]]


def test_the_script_is_short_enough_to_read():
    assert len((ROOT / "docs/receipts/verify_receipts.py").read_text().splitlines()) <= 60


def test_the_page_says_what_each_is(tmp_path):
    """In Chromium, from a file, as whoever saved the page opens it; all cases one after the other."""
    program = browser.program()
    if program is None:
        missing_tool("chromium")
    page = (ROOT / "docs/receipts/verify.html").read_text()
    harness = """<pre id="all"></pre><script>
    (async () => {
      const said = [];
      for (const known of CASES) {
        const jsonl = rows => rows.map(row => JSON.stringify(row)).join("\\n");
        document.getElementById("receipts").value = jsonl(known.receipts);
        document.getElementById("anchors").value = jsonl(known.anchors);
        document.getElementById("keys").value = JSON.stringify(known.jwks);
        await show(new Event("submit"));
        said.push(document.getElementById("result").dataset.verdict);
      }
      document.getElementById("all").textContent = JSON.stringify(said);
    })();
    </script></body>""".replace("CASES", json.dumps(CASES))
    (tmp_path / "page.html").write_text(page.replace("</body>", harness))
    options = (
        "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage",
        "--disable-background-networking", f"--user-data-dir={tmp_path / 'browser'}",
        "--virtual-time-budget=60000", "--dump-dom",
    )  # fmt: skip
    address = (tmp_path / "page.html").as_uri()
    ended = subprocess.run([program, *options, address], capture_output=True, text=True, check=False)
    shown = re.search(r'<pre id="all">(.*?)</pre>', ended.stdout, re.DOTALL)
    assert shown is not None, ended.stderr[-2000:]
    assert json.loads(html.unescape(shown[1])) == [known["verdict"] for known in CASES]


@pytest.mark.parametrize("last", [-1, True, "2", None, 1.5])
def test_a_last_receipt_that_is_no_number_is_refused(tmp_path, last):
    (tmp_path / "jwks").write_text(json.dumps({"keys": [receipt_vectors.jwk("k1", last_receipt=last)]}))
    with pytest.raises(PolicyRefused, match="last_receipt"):
        ReceiptKeys.read(tmp_path / "jwks")
