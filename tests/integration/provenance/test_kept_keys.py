"""Keys that are not in a file: in AWS KMS (moto's server) and in a PKCS#11 token (SoftHSM)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from typer.testing import CliRunner

from nightlight.cli.main import app
from nightlight.provenance.certificates import CertificateChain, SigningAlgorithm, create_development_chain, issue_leaf
from nightlight.provenance.pkcs11 import HsmKey
from nightlight.provenance.signing import ManifestSigner, SigningCredential
from nightlight.provenance.verify import ManifestState, verify_manifest
from nightlight.settings import Settings
from nightlight.wiring.operator_tools import manifest_signing, remote_signing_key
from nightlight_core.errors import SettingsRefused, SigningFailed
from tests.integration.provenance.conftest import CLAIMS, now, picture
from tests.support.services import missing_tool

pytestmark = pytest.mark.integration
MODULE, TOKEN, PIN = Path("/usr/lib/softhsm/libsofthsm2.so"), "manifests", "246810"
KEYS = {"p256": SigningAlgorithm.ES256, "edwards": SigningAlgorithm.ED25519}


def sign(credential, *, embed=True):
    return ManifestSigner(credential, now).sign(picture("WEBP"), "image/webp", CLAIMS, embed=embed)


def test_a_key_that_is_kept_elsewhere_signs_by_callback_and_takes_no_more_room(folder, root, credential):
    key = serialization.load_pem_private_key((folder / "leaf.key.pem").read_bytes(), None)
    asked = []

    def call(data):
        asked.append(data)
        return (
            key.sign(data) if isinstance(key, ed25519.Ed25519PrivateKey) else key.sign(data, ec.ECDSA(hashes.SHA256()))
        )

    elsewhere = SigningCredential(CertificateChain.read(folder / "chain.pem"), sign=call, anchors=root)
    signed_file = sign(elsewhere, embed=False)
    assert len(asked) == 1
    assert (
        verify_manifest(picture("WEBP"), "image/webp", anchors=root, manifest=signed_file.manifest).state
        is ManifestState.TRUSTED
    )
    # The library pads what such a key signs by 10 kB; compressed that is nothing.
    assert len(sign(elsewhere).data) == len(sign(credential).data)


@pytest.fixture(scope="module")
def token(tmp_path_factory):
    """A token of SoftHSM with a key pair of each kind."""
    if not MODULE.exists():
        missing_tool("softhsm2")
    folder = tmp_path_factory.mktemp("token")
    (folder / "tokens").mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(configuration))
        command = ["softhsm2-util", "--init-token", "--free", "--label", TOKEN, "--pin", PIN, "--so-pin", "13579"]
        subprocess.run(command, check=True, capture_output=True)
        subprocess.run([sys.executable, "-c", _PAIRS, str(MODULE), TOKEN, PIN], check=True, capture_output=True)
        yield


# In a process of its own: the library keeps the log-in for the whole of one.
_PAIRS = """
import sys, pkcs11
from pkcs11 import Attribute, KeyType, Mechanism
from pkcs11.util.ec import encode_named_curve_parameters as named
module, token, pin = sys.argv[1:]
with pkcs11.lib(module).get_token(token_label=token).open(user_pin=pin, rw=True) as session:
    for kind, curve, label, how in (
        (KeyType.EC, "secp256r1", "p256", None),
        (KeyType.EC_EDWARDS, "1.3.101.112", "edwards", Mechanism.EC_EDWARDS_KEY_PAIR_GEN),
    ):
        parameters = session.create_domain_parameters(kind, {Attribute.EC_PARAMS: named(curve)}, local=True)
        parameters.generate_keypair(mechanism=how, store=True, label=label)
"""


def in_token(monkeypatch, tmp_path, label, **changed):
    token_settings = {
        "CHAIN": tmp_path / "chain.pem", "ANCHORS": tmp_path / "root.pem", "PKCS11_MODULE": MODULE,
        "PKCS11_TOKEN": TOKEN, "PKCS11_KEY": label, "PKCS11_PIN": PIN, **changed,
    }  # fmt: skip
    for name in [name for name in os.environ if name.startswith("NIGHTLIGHT_PROVENANCE_")]:
        monkeypatch.delenv(name)
    for name, value in token_settings.items():
        if value is not None:
            monkeypatch.setenv(f"NIGHTLIGHT_PROVENANCE_{name}", str(value))


@pytest.mark.parametrize("label", KEYS)
def test_a_key_in_a_token_signs_as_the_settings_say(token, label, tmp_path, monkeypatch):
    create_development_chain(tmp_path, KEYS[label], now())
    in_token(monkeypatch, tmp_path, label)
    output = CliRunner().invoke(app, ["provenance", "public-key"])
    assert (output.exit_code, "BEGIN PUBLIC KEY" in output.stdout) == (0, True)
    (tmp_path / "key.pem").write_text(output.stdout)
    assert CliRunner().invoke(app, ["provenance", "issue", str(tmp_path), str(tmp_path / "key.pem")]).exit_code == 0
    assert CertificateChain.read(tmp_path / "chain.pem").algorithm is KEYS[label]
    signed_file = manifest_signing(Settings(), now).sign(picture("WEBP"), "image/webp", CLAIMS, embed=True)
    assert (
        verify_manifest(signed_file.data, "image/webp", anchors=(tmp_path / "root.pem").read_text()).state
        is ManifestState.TRUSTED
    )


def test_a_token_whose_sessions_were_ended_is_opened_again(token):
    key = HsmKey(MODULE, TOKEN, "p256", PIN)
    public = serialization.load_der_public_key(key.public_key())
    key.sign(b"x")
    key._session.close()
    public.verify(key.sign(b"again"), b"again", ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"module": Path("/nowhere.so")}, "PKCS#11"), ({"token": "another"}, "NoSuchToken"), ({"label": "another"}, "NoSuchKey")],
)  # fmt: skip
def test_a_key_that_is_not_there_signs_nothing(token, changed, words):
    key = HsmKey(**{"module": MODULE, "token": TOKEN, "label": "p256", "pin": PIN, **changed})
    with pytest.raises(SigningFailed, match=words):
        key.sign(b"x")
    assert PIN not in repr(key)


def test_a_wrong_pin_is_sent_once(token):
    """Tokens lock after a few: the right one still opens it. In a process of its own, where nobody is logged in."""
    code = (
        "import sys; from pathlib import Path; from nightlight_core.errors import SigningFailed\n"
        "from nightlight.provenance.pkcs11 import HsmKey\n"
        "key = HsmKey(Path(sys.argv[1]), sys.argv[2], 'p256', '000000')\n"
        "for _ in range(20):\n"
        "    try: key.sign(b'x')\n"
        "    except SigningFailed as error: print(error)\n"
        "HsmKey(Path(sys.argv[1]), sys.argv[2], 'p256', sys.argv[3]).sign(b'x')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(MODULE), TOKEN, PIN], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert ran[0].endswith("it is not sent again before a restart")
    assert len(ran) == 20


def test_settings_that_name_no_key_or_two_are_refused(tmp_path, monkeypatch):
    for changed, words in (
        ({"KEY": tmp_path / "leaf.key.pem"}, "one of them"),
        ({"KMS_KEY": "alias/x"}, "one of them"),
        ({"PKCS11_PIN": None}, "PIN"),
        ({"PKCS11_TOKEN": None}, "TOKEN"),
    ):
        in_token(monkeypatch, tmp_path, "p256", **changed)
        with pytest.raises(SettingsRefused, match=words):
            remote_signing_key(Settings())
    in_token(monkeypatch, tmp_path, "p256", PKCS11_MODULE=None)
    assert remote_signing_key(Settings()) is None
    assert CliRunner().invoke(app, ["provenance", "public-key"]).exit_code != 0


def test_a_key_in_kms_signs_and_one_that_is_away_publishes_nothing(sqs_url, tmp_path):
    import boto3

    from nightlight.store.kms import KmsKey
    from nightlight.store.s3 import S3Access

    session = boto3.session.Session(aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1")
    client = session.client("kms", endpoint_url=sqs_url)
    key_id = client.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    client.close()
    key = KmsKey(key_id, S3Access(sqs_url, "us-east-1", "x", "x", 1, 5))
    create_development_chain(tmp_path, SigningAlgorithm.ES256, now())
    issue_leaf(tmp_path, key.public_key(), now())
    credential = SigningCredential.read(tmp_path / "chain.pem", key.sign, tmp_path / "root.pem")
    signed_file = ManifestSigner(credential, now).sign(picture("WEBP"), "image/webp", CLAIMS, embed=True)
    root = (tmp_path / "root.pem").read_text()
    assert verify_manifest(signed_file.data, "image/webp", anchors=root).state is ManifestState.TRUSTED
    away = KmsKey(key_id, S3Access("http://127.0.0.1:9", "us-east-1", "x", "x", 0.2, 0.2))
    with pytest.raises(SigningFailed):
        ManifestSigner(SigningCredential.read(tmp_path / "chain.pem", away.sign, None), now).sign(
            picture("WEBP"), "image/webp", CLAIMS, embed=True
        )
    with pytest.raises(SigningFailed):
        away.public_key()
    for wrong in (b"", b"no key", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"):
        with pytest.raises(SettingsRefused):
            issue_leaf(tmp_path, wrong, now())
