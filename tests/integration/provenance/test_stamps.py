"""Time stamps: from a real authority (OpenSSL's), and what happens when it is away, slow or talks nonsense."""

import http.server
import shutil
import socket
import subprocess
import threading
from contextlib import contextmanager

import pytest

from nightlight import metrics
from nightlight.provenance import signing as under_test
from nightlight.provenance.signing import ManifestSigner
from nightlight.provenance.verify import ManifestState, verify_manifest
from tests.integration.provenance.conftest import CLAIMS, now, picture, unpacked
from tests.support.services import missing_tool
from tests.support.waiting import HANG_S

pytestmark = pytest.mark.integration
_ROOT = ["-addext", "keyUsage=critical,keyCertSign"]
_LEAF = ["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "keyUsage=critical,digitalSignature"]
_LEAF += ["-addext", "extendedKeyUsage=critical,timeStamping"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """What answers a query with a time stamp."""
    openssl = shutil.which("openssl")
    if openssl is None:
        missing_tool("openssl")
    keys_folder = tmp_path_factory.mktemp("tsa")
    for name, more in (
        ("root", _ROOT),
        ("key", [*_LEAF, "-CA", keys_folder / "root.crt", "-CAkey", keys_folder / "root.pem"]),
    ):
        command = [
            openssl,
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            f"/O=Test/CN={name}",
            "-days",
            "2",
        ]
        command += ["-keyout", keys_folder / f"{name}.pem", "-out", keys_folder / f"{name}.crt", *more]
        subprocess.run(command, check=True, capture_output=True)
    (keys_folder / "serial").write_text("01")
    (keys_folder / "tsa.cnf").write_text(
        f"[tsa]\ndefault_tsa=one\n[one]\nserial={keys_folder}/serial\ncrypto_device=builtin\nsigner_digest=sha256\n"
        "default_policy=1.2.3.4\ndigests=sha256,sha384,sha512\n"
    )

    def answer(query):
        (keys_folder / "query").write_bytes(query)
        reply = [openssl, "ts", "-reply", "-config", keys_folder / "tsa.cnf", "-queryfile", keys_folder / "query"]
        reply += ["-signer", keys_folder / "key.crt", "-inkey", keys_folder / "key.pem", "-out", keys_folder / "reply"]
        subprocess.run(reply, check=True, capture_output=True)
        return (keys_folder / "reply").read_bytes()

    return answer


@contextmanager
def served(answer):
    requests = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            requests.append(self.headers["Content-Type"])
            body = answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", requests
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def missed():
    return metrics.STAMPS_MISSED._value.get()


def test_an_authoritys_stamp_is_in_the_manifest(authority, credential, root, monkeypatch):
    monkeypatch.setattr(under_test, "TIME_STAMP_TIMEOUT_S", HANG_S)
    with served(authority) as (url, requests):
        for embed in (True, False):
            data = picture("WEBP")
            signed_file = ManifestSigner(credential, now, tsa_url=url).sign(data, "image/webp", CLAIMS, embed=embed)
            assert b"sigTst" in unpacked(signed_file.manifest)
            manifest_check = verify_manifest(
                signed_file.data, "image/webp", anchors=root, manifest=None if embed else signed_file.manifest
            )
            assert manifest_check.state is ManifestState.TRUSTED
    assert set(requests) == {"application/timestamp-query"}


@pytest.mark.parametrize("answer", [b"", b"nonsense", bytes(100_000)])
def test_one_that_talks_nonsense_stops_no_render(answer, credential, root):
    before = missed()
    with served(lambda _: answer) as (url, requests):
        signing = ManifestSigner(credential, now, tsa_url=url)
        for _ in range(3):
            signed_file = signing.sign(picture("WEBP"), "image/webp", CLAIMS, embed=True)
            assert verify_manifest(signed_file.data, "image/webp", anchors=root).state is ManifestState.TRUSTED
            assert b"sigTst" not in unpacked(signed_file.manifest)
    assert (len(requests), missed() - before) == (1, 1)  # asked once, and then left alone for minutes


def test_one_that_is_away_or_never_answers_stops_no_render(credential, root, monkeypatch):
    monkeypatch.setattr(under_test, "TIME_STAMP_TIMEOUT_S", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        for url in ("http://127.0.0.1:9/", f"http://127.0.0.1:{silent.getsockname()[1]}/"):
            before = missed()
            signing = ManifestSigner(credential, now, tsa_url=url)
            for embed in (True, False):
                signed_file = signing.sign(picture("WEBP"), "image/webp", CLAIMS, embed=embed)
                manifest = None if embed else signed_file.manifest
                assert (
                    verify_manifest(signed_file.data, "image/webp", anchors=root, manifest=manifest).state
                    is ManifestState.TRUSTED
                )
            assert missed() - before == 1


def test_it_is_asked_again_after_a_while(authority, credential, monkeypatch):
    answers = [lambda _: b"", authority]
    monkeypatch.setattr(under_test, "TIME_STAMP_RETRY_S", 0.0)
    with served(lambda query: answers.pop(0)(query) if len(answers) > 1 else answers[0](query)) as (url, _):
        signing = ManifestSigner(credential, now, tsa_url=url)
        stamped = [
            b"sigTst" in unpacked(signing.sign(picture("WEBP"), "image/webp", CLAIMS, embed=False).manifest)
            for _ in range(2)
        ]
    assert stamped == [False, True]
