"""An HTTPS server on this machine that gives a JWKS, and can be told to give none, late or something else."""

import json
import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.waiting import HANG_S


class JwksServer(ThreadingHTTPServer):
    """``answer`` is (status, bytes); while ``released`` is clear nothing is answered; ``asked`` counts requests."""

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), _Answers)
        self.answer, self.asked = (200, b'{"keys": []}'), 0
        self.released, self.requested = threading.Event(), threading.Event()
        self.released.set()
        self.certificate = folder / "jwks-server.pem"
        self.certificate.write_bytes(_certificate())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server_port}/jwks.json"

    def give(self, *jwks, status=200):
        """Answer with the keys of these sets, all together."""
        keys = [key for key_set in jwks for key in key_set["keys"]]
        self.answer = status, json.dumps({"keys": keys}).encode()

    def handle_error(self, request, client_address):
        """Say nothing of clients that went away."""


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked += 1
        self.server.requested.set()
        self.server.released.wait(HANG_S)
        status, body = self.server.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status in {301, 302}:
            self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def _certificate():
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return private + certificate.public_bytes(serialization.Encoding.PEM)
