"""A real YAML language server, as editors run it, completes and checks words in the policy files."""

import json
import shutil
import subprocess
import threading
import time
from pathlib import Path
from queue import Empty, Queue

import pytest

from nightlight.policy.compile import compile_folder
from nightlight.policy.schema import write_schemas
from tests.conftest import ROOT
from tests.support.services import node_in
from tests.support.waiting import HANG_S

pytestmark = pytest.mark.integration

HERE = Path(__file__).parent


class Server:
    """JSON-RPC over the server's standard streams."""

    def __init__(self, command, root):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.inbox = Queue()
        self.number = 0
        threading.Thread(target=self._read, daemon=True).start()
        self.ask("initialize", {"processId": None, "rootUri": root.as_uri(), "capabilities": {}})
        self.tell("initialized", {})

    def _read(self):
        stream = self.process.stdout
        while line := stream.readline():
            length = int(line.split(b":")[1]) if line.lower().startswith(b"content-length") else 0
            while stream.readline().strip():
                pass
            message = json.loads(stream.read(length))
            if "id" in message and "method" in message:  # a request to us: settings, registrations
                items = message["params"].get("items", []) if message["method"] == "workspace/configuration" else None
                self._send({"id": message["id"], "result": [{} for _ in items] if items is not None else None})
            else:
                self.inbox.put(message)

    def _send(self, message):
        data = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(data), data))
        self.process.stdin.flush()

    def tell(self, method, params):
        self._send({"method": method, "params": params})

    def ask(self, method, params):
        self.number += 1
        self._send({"id": self.number, "method": method, "params": params})
        return self.until(lambda message: message.get("id") == self.number)["result"]

    def until(self, wanted, seconds=HANG_S):
        end = time.monotonic() + seconds
        while True:
            try:
                message = self.inbox.get(timeout=max(0.01, end - time.monotonic()))
            except Empty:
                pytest.fail("the language server did not answer in time")
            if wanted(message):
                return message

    def open(self, path, text):
        uri = path.as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self.tell("textDocument/didOpen", {"textDocument": document})
        return uri

    def diagnostics(self, uri):
        published = self.until(
            lambda m: m.get("method") == "textDocument/publishDiagnostics" and m["params"]["uri"] == uri
        )
        return [item["message"] for item in published["params"]["diagnostics"]]

    def completions(self, uri, line, character):
        place = {"textDocument": {"uri": uri}, "position": {"line": line, "character": character}}
        return {item["label"] for item in self.ask("textDocument/completion", place)["items"]}


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pack") / "policies"
    shutil.copytree(ROOT / "policies", folder)
    write_schemas(compile_folder(folder).pack.vocabulary, folder / "schema")
    return folder


@pytest.fixture(scope="module")
def server(pack):
    script = HERE / "node_modules/yaml-language-server/bin/yaml-language-server"
    started = Server([node_in(HERE), str(script), "--stdio"], pack)
    yield started
    started.process.kill()
    started.process.wait()
    started.process.stdin.close()
    started.process.stdout.close()


def test_the_default_pack_has_no_diagnostics(server, pack):
    for path in sorted(pack.rglob("*.yaml")):
        assert server.diagnostics(server.open(path, path.read_text())) == [], path


def test_a_misspelt_word_key_and_tier_are_underlined(server, pack):
    text = (pack / "rules.yaml").read_text()
    broken = text.replace("when: {relation: blocked}", "when: {relation: blokced}").replace(
        "tier: tiny", "tier: teeny", 1
    )
    broken = broken.replace("unless: {relation: self}", "unles: {relation: self}")
    messages = " ".join(server.diagnostics(server.open(pack / "broken-rules.yaml", broken)))
    assert '"blocked"' in messages
    assert '"tiny"' in messages
    assert "unles is not allowed" in messages


def test_words_and_groups_are_completed(server, pack):
    head = "# yaml-language-server: $schema=schema/rules.json\nformat: policy/1\npack: p\nversion: '1'\nrules:\n"
    text = head + "  - id: x\n    why: y\n    when:\n      relation: \n    at_most:\n      tier: \n"
    uri = server.open(pack / "new-rules.yaml", text)
    server.diagnostics(uri)
    assert {"outsider", "stranger", "blocked"} <= server.completions(uri, 8, 16)
    assert {"none", "tiny", "full"} <= server.completions(uri, 10, 12)


def test_attributes_are_completed(server, pack):
    head = "# yaml-language-server: $schema=schema/rules.json\nformat: policy/1\npack: p\nversion: '1'\nrules:\n"
    uri = server.open(pack / "newer-rules.yaml", head + "  - id: x\n    why: y\n    when:\n      \n")
    server.diagnostics(uri)
    assert {"subject_age", "relation", "region", "viewer"} <= server.completions(uri, 8, 6)
