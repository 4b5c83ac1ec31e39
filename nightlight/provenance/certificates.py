"""The certificates that sign manifests: reads them, checks their validity, and makes them for development.

A chain is a PEM file: the leaf first, then its issuers, without the root, which is a trust anchor. The leaf
needs the key usage *digital signature* and the extended one *e-mail protection*, which C2PA validators accept by
default (C2PA specification, "X.509 certificates").
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from nightlight_core.errors import CertificateExpired, SettingsRefused
from nightlight_core.files import private_file, private_folder, read_bytes, read_text

if TYPE_CHECKING:
    from nightlight_core.clock import Clock

MAX_CHAIN_BYTES = 100_000
# The files that `nightlight provenance init` makes, beside the keys of the issuers.
CHAIN_FILE, LEAF_KEY_FILE, ROOT_FILE = "chain.pem", "leaf.key.pem", "root.pem"
# A certificate stops signing so long before its end: a clock may be wrong, a job may take long.
MARGIN = timedelta(hours=24)
_BACKDATED = timedelta(minutes=5)
_YEARS = {"root": 10, "issuing": 5, "leaf": 1}

_Private = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
_Public = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey


class SigningAlgorithm(StrEnum):
    """The signature algorithms of manifests."""

    ED25519 = "ed25519"
    ES256 = "es256"


@dataclass(frozen=True, slots=True)
class CertificateChain:
    """A leaf certificate with its issuers, in PEM, and from when until when the leaf is valid."""

    pem: str = field(repr=False)
    algorithm: SigningAlgorithm
    not_before: datetime
    not_after: datetime
    fingerprint: str

    @classmethod
    def read(cls, path: Path) -> CertificateChain:
        """Read a PEM file; raises SettingsRefused."""
        try:
            pem = read_text(path, "ascii", MAX_CHAIN_BYTES)
            leaf = x509.load_pem_x509_certificates(pem.encode())[0]
        except (OSError, ValueError) as error:
            raise SettingsRefused(f"{path} holds no certificates ({type(error).__name__})") from error
        return cls(
            pem=pem,
            algorithm=_algorithm(leaf, path),
            not_before=leaf.not_valid_before_utc,
            not_after=leaf.not_valid_after_utc,
            fingerprint=leaf.fingerprint(hashes.SHA256()).hex(),
        )

    def check_key(self, key_pem: str) -> None:
        """Raise SettingsRefused unless a private key in PEM is the leaf's."""
        form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        leaf = x509.load_pem_x509_certificates(self.pem.encode())[0]
        try:
            own = serialization.load_pem_private_key(key_pem.encode(), None).public_key().public_bytes(*form)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise SettingsRefused(f"the key of the certificate cannot be read ({type(error).__name__})") from error
        if own != leaf.public_key().public_bytes(*form):
            raise SettingsRefused("the private key is not that of the certificate")

    def check(self, clock: Clock) -> None:
        """Raise CertificateExpired unless the leaf is valid now and for a day to come."""
        now = clock()
        if not self.not_before <= now < self.not_after - MARGIN:
            message = f"the certificate signs from {self.not_before} until a day before {self.not_after}"
            raise CertificateExpired(message)

    def days_left(self, clock: Clock) -> float:
        """Return for how many days the leaf may still sign; negative once it may not."""
        return (self.not_after - MARGIN - clock()) / timedelta(days=1)


def root_ids(pem: str) -> list[str]:
    """Return what the certificates in PEM are told apart by in reports; none where it cannot be read."""
    try:
        roots = x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        return []
    return [f"root-{root.fingerprint(hashes.SHA256()).hex()[:8]}" for root in roots]


def create_development_chain(folder: Path, algorithm: SigningAlgorithm, now: datetime) -> None:
    """Make a root, an issuing and a leaf certificate for development; raise SettingsRefused where a chain exists."""
    if (folder / CHAIN_FILE).exists():
        raise SettingsRefused(f"{folder / 'chain.pem'} is there already")
    try:
        private_folder(folder)
    except OSError as error:
        raise SettingsRefused(f"{folder}: {error.strerror}") from error
    keys = {name: _new_key(algorithm) for name in _YEARS}
    root = _certificate("root", keys["root"].public_key(), "root", keys["root"], now)
    issuing = _certificate("issuing", keys["issuing"].public_key(), "root", keys["root"], now)
    leaf = _certificate("leaf", keys["leaf"].public_key(), "issuing", keys["issuing"], now)
    _write(folder / ROOT_FILE, root, secret=False)
    _write(folder / CHAIN_FILE, leaf + issuing, secret=False)
    # The root's and the issuing key are for making another leaf before this one ends.
    for name, key in keys.items():
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        _write(folder / f"{name}.key.pem", pem.decode(), secret=True)


def issue_leaf(folder: Path, public_key: bytes, now: datetime) -> None:
    """Issue a new leaf for a public key in PEM or DER, by the chain of ``create_development_chain``.

    ``chain.pem`` is replaced at once: processes that start from then on sign with the new key. Raises SettingsRefused.
    """
    try:
        load = serialization.load_pem_public_key if b"-----" in public_key else serialization.load_der_public_key
        key = load(public_key)
        issuer = serialization.load_pem_private_key(read_bytes(folder / "issuing.key.pem"), None)
        above = x509.load_pem_x509_certificates(read_bytes(folder / CHAIN_FILE))[1]
    except (OSError, ValueError, IndexError) as error:
        raise SettingsRefused(f"no leaf can be issued in {folder} ({type(error).__name__})") from error
    if not isinstance(issuer, _Private) or not isinstance(key, ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey):
        raise SettingsRefused("the key is neither Ed25519 nor of an elliptic curve")
    leaf = _certificate("leaf", key, "issuing", issuer, now)
    part = folder / "chain.pem.part"
    _write(part, leaf + above.public_bytes(serialization.Encoding.PEM).decode(), secret=False)
    _algorithm(x509.load_pem_x509_certificates(part.read_bytes())[0], part)
    part.replace(folder / CHAIN_FILE)


def _algorithm(leaf: x509.Certificate, path: Path) -> SigningAlgorithm:
    key = leaf.public_key()
    if isinstance(key, ed25519.Ed25519PublicKey):
        return SigningAlgorithm.ED25519
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return SigningAlgorithm.ES256
    raise SettingsRefused(f"{path}: the leaf's key is neither Ed25519 nor P-256")


def _new_key(algorithm: SigningAlgorithm) -> _Private:
    if algorithm is SigningAlgorithm.ED25519:
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1())


def _certificate(name: str, key: _Public, issuer: str, issuer_key: _Private, now: datetime) -> str:
    ca = name != "leaf"
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=365 * _YEARS[name]))
        .add_extension(x509.BasicConstraints(ca, {"root": 1, "issuing": 0, "leaf": None}[name]), critical=True)
        .add_extension(_usage(ca=ca), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not ca:
        usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(usages, critical=False)
    digest = None if isinstance(issuer_key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(issuer_key, digest).public_bytes(serialization.Encoding.PEM).decode()


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    """Return a name that does not identify the platform."""
    parts = {NameOID.ORGANIZATION_NAME: "Development", NameOID.COMMON_NAME: f"Nightlight {common}"}
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts.items()])


def _write(path: Path, text: str, *, secret: bool) -> None:
    if secret:
        private_file(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if secret else 0o644)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(text)
