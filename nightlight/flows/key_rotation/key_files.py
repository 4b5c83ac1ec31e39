"""The forms in which keys are kept, and what each step of a rotation writes.

::

    form           current key                  a key that waits                     add writes      promote writes
    RingStorage    first of ``id:base64,...``   behind it                            the ring        the ring
    SealStorage    the public key's file        in the private ring                  private ring    public file
    JwksStorage    the private JWK's file       public in the JWKS, private beside   JWKS, private   private file
    ChainStorage   chain and key files          root in the anchors, chain beside    anchors, both   key, chain

Keys are told apart by what processes report (``nightlight_core.live_files``). A form plans writes and makes none.
"""

from __future__ import annotations

import base64
import json
import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from nightlight.delivery.access_tokens import generate_key
from nightlight.policy.signing import SigningKey
from nightlight.provenance.certificates import CHAIN_FILE, LEAF_KEY_FILE, ROOT_FILE, CertificateChain, root_ids
from nightlight.store.sealing import Opener, Sealer, generate_seal_keys
from nightlight_core.errors import InvalidInput
from nightlight_core.files import read_text
from nightlight_core.keyring import KeyRing, parse_name_keys
from nightlight_core.live_files import fingerprint, public_fingerprint
from nightlight_core.policy.public_keys import PublicKeys, base64url_bytes

_KEY_BYTES = 32
_IDS = string.digits[1:] + string.ascii_lowercase


class Write(NamedTuple):
    """A file's new text; None deletes it. ``public``: it holds no secret."""

    path: Path
    text: str | None
    public: bool = False


class KeyStorage(Protocol):
    """How keys of a kind are kept. Every method may raise SettingsRefused, PolicyRefused, InvalidInput or OSError."""

    @property
    def folder(self) -> Path:
        """Return the folder in which it is recorded when each step was taken."""
        ...

    def keys(self) -> list[str]:
        """Return all keys, the current one first."""
        ...

    def add(self) -> tuple[str, list[Write]]:
        """Return a new key and what is written for it."""
        ...

    def verified_as(self, key: str) -> str:
        """Return what a process reports that can verify what ``key`` will sign."""
        ...

    def promote(self, key: str) -> list[Write]:
        """Return what is written to sign with a key that waits."""
        ...

    def remove(self, keys: Sequence[str]) -> list[Write]:
        """Return what is written to forget keys that are not current."""
        ...


@dataclass(frozen=True, slots=True)
class RingStorage:
    """``id:base64,id:base64`` in a file; ``prefix`` begins the ids of new keys."""

    path: Path
    prefix: str

    @property
    def folder(self) -> Path:
        """Return the file's folder."""
        return self.path.parent

    def keys(self) -> list[str]:
        """Return the keys in the ring's order."""
        return list(self._by_name())

    def add(self) -> tuple[str, list[Write]]:
        """Return a new key at the end."""
        ring, key = self._ring(), secrets.token_bytes(_KEY_BYTES)
        key_id = new_id(self.prefix, ring.keys)
        return fingerprint(key_id, key), [self._written({**ring.keys, key_id: key})]

    def verified_as(self, key: str) -> str:
        """Return the key: who has it verifies."""
        return key

    def promote(self, key: str) -> list[Write]:
        """Return the ring with the key in front."""
        key_id = self._by_name()[key]
        ring = self._ring().keys
        return [self._written({key_id: ring[key_id], **ring})]

    def remove(self, keys: Sequence[str]) -> list[Write]:
        """Return the ring without keys."""
        gone = {key_id for name, key_id in self._by_name().items() if name in keys}
        return [self._written({key_id: key for key_id, key in self._ring().keys.items() if key_id not in gone})]

    def _ring(self) -> KeyRing:
        return parse_name_keys(read_text(self.path).strip(), str(self.path))

    def _by_name(self) -> dict[str, str]:
        return {fingerprint(key_id, key): key_id for key_id, key in self._ring().keys.items()}

    def _written(self, keys: dict[str, bytes]) -> Write:
        return Write(self.path, ",".join(f"{key_id}:{base64.b64encode(key).decode()}" for key_id, key in keys.items()))


@dataclass(frozen=True, slots=True)
class SealStorage:
    """Private keys in the workers' file, and the one public key to which originals are sealed in the service's."""

    private: Path
    public: Path

    @property
    def folder(self) -> Path:
        """Return the folder of the private keys."""
        return self.private.parent

    def keys(self) -> list[str]:
        """Return the public key in use, then every other private one's."""
        sealer = Sealer.parse(read_text(self.public).strip(), str(self.public))
        current = public_fingerprint(sealer.key_id, sealer.public.public_bytes_raw())
        every = self._publics()
        if current not in every:
            raise InvalidInput(f"{self.public}: the private key to it is not in {self.private}")
        return [current, *(key for key in every if key != current)]

    def add(self) -> tuple[str, list[Write]]:
        """Return a new pair, whose private key the workers get."""
        text = read_text(self.private).strip()
        key_id = new_id("s", Opener.parse(text, str(self.private)).privates)
        private, public = generate_seal_keys()
        key = public_fingerprint(key_id, base64.b64decode(public))
        return key, [Write(self.private, f"{text},{key_id}:{private}")]

    def verified_as(self, key: str) -> str:
        """Return the key: who has its private half opens."""
        return key

    def promote(self, key: str) -> list[Write]:
        """Return the public key that originals are sealed to from now on."""
        key_id, raw = self._publics()[key]
        return [Write(self.public, f"{key_id}:{base64.b64encode(raw).decode()}")]

    def remove(self, keys: Sequence[str]) -> list[Write]:
        """Return nothing: originals are sealed to each for as long as they last."""
        del keys
        return []

    def _publics(self) -> dict[str, tuple[str, bytes]]:
        opener = Opener.parse(read_text(self.private).strip(), str(self.private))
        raw = {key_id: key.public_key().public_bytes_raw() for key_id, key in opener.privates.items()}
        return {public_fingerprint(key_id, public): (key_id, public) for key_id, public in raw.items()}


@dataclass(frozen=True, slots=True)
class JwksStorage:
    """Public keys in a JWKS file, and the private JWK that signs; the next private JWK lies beside it."""

    public: Path
    private: Path

    @property
    def folder(self) -> Path:
        """Return the folder of the private key."""
        return self.private.parent

    @property
    def next(self) -> Path:
        """Return the file of the private key that waits."""
        return self.private.with_name(f"next.{self.private.name}")

    def keys(self) -> list[str]:
        """Return the key that signs, then the other public ones."""
        signing = SigningKey.read(self.private)
        current = public_fingerprint(signing.key_id, signing.public_key.public_bytes_raw())
        listed = [_named(key_id, key) for key_id, key in PublicKeys.read(self.public).keys.items()]
        if current not in listed:
            raise InvalidInput(f"{self.public}: the public half of {self.private} is not in it")
        return [current, *(key for key in listed if key != current)]

    def add(self) -> tuple[str, list[Write]]:
        """Return a new pair: the public half in the JWKS, the private one beside the one that signs."""
        private, public = generate_key()
        (jwk,) = public["keys"]
        jwks = self._jwks()
        key = public_fingerprint(jwk["kid"], base64url_bytes(jwk["x"]))
        return key, [
            Write(self.next, json.dumps(private, indent=2)),
            Write(self.public, json.dumps({**jwks, "keys": [*jwks["keys"], jwk]}, indent=2), public=True),
        ]

    def verified_as(self, key: str) -> str:
        """Return the key."""
        return key

    def promote(self, key: str) -> list[Write]:
        """Return the private key that waits in place of the other, which nobody needs any more."""
        waiting = SigningKey.read(self.next)
        if _named(waiting.key_id, waiting.public_key) != key:
            raise InvalidInput(f"{self.next} is not the private half of {key}")
        return [Write(self.private, read_text(self.next)), Write(self.next, None)]

    def remove(self, keys: Sequence[str]) -> list[Write]:
        """Return the JWKS without keys."""
        gone = {key_id for key_id, key in PublicKeys.read(self.public).keys.items() if _named(key_id, key) in keys}
        jwks = self._jwks()
        kept = [jwk for jwk in jwks["keys"] if jwk.get("kid") not in gone]
        return [Write(self.public, json.dumps({**jwks, "keys": kept}, indent=2), public=True)]

    def _jwks(self) -> dict[str, Any]:
        jwks: dict[str, Any] = json.loads(read_text(self.public))
        return jwks


@dataclass(frozen=True, slots=True)
class ChainStorage:
    """A certificate chain with its key, and the trust anchors; ``source`` has a new chain, as an authority gave it."""

    chain: Path
    key: Path
    anchors: Path
    source: Path | None

    @property
    def folder(self) -> Path:
        """Return the chain's folder."""
        return self.chain.parent

    def keys(self) -> list[str]:
        """Return the leaf that signs, then one that waits."""
        return [_leaf(path) for path in (self.chain, self._next(self.chain)) if path.exists()]

    def add(self) -> tuple[str, list[Write]]:
        """Return the chain of ``source`` beside the one in use, and its root among the anchors."""
        if self.source is None:
            message = (
                f"--from names a folder with {CHAIN_FILE}, {LEAF_KEY_FILE} and {ROOT_FILE} of the next certificate"
            )
            raise InvalidInput(message)
        chain, key, root = (read_text(self.source / name, "ascii") for name in (CHAIN_FILE, LEAF_KEY_FILE, ROOT_FILE))
        CertificateChain.read(self.source / CHAIN_FILE).check_key(key)
        anchors = read_text(self.anchors, "ascii")
        known = set(root_ids(anchors)) >= set(root_ids(root))
        return _leaf(self.source / CHAIN_FILE), [
            Write(self._next(self.key), key),
            Write(self._next(self.chain), chain),
            *([] if known else [Write(self.anchors, f"{anchors.rstrip()}\n{root}", public=True)]),
        ]

    def verified_as(self, key: str) -> str:
        """Return the newest root: who has it trusts the leaf that waits."""
        del key
        return root_ids(read_text(self.anchors, "ascii"))[-1]

    def promote(self, key: str) -> list[Write]:
        """Return the chain that waits in place of the other; between the two writes the old one stays in use."""
        del key
        waiting = self._next(self.key), self._next(self.chain)
        return [
            Write(self.key, read_text(waiting[0], "ascii")),
            Write(self.chain, read_text(waiting[1], "ascii"), public=True),
            *(Write(path, None) for path in waiting),
        ]

    def remove(self, keys: Sequence[str]) -> list[Write]:
        """Return nothing: a root is trusted for as long as pictures with its manifests last."""
        del keys
        return []

    @staticmethod
    def _next(path: Path) -> Path:
        return path.with_name(f"next.{path.name}")


def new_id(prefix: str, taken: Any) -> str:
    """Return an id of two characters that is not taken."""
    free = next((f"{prefix}{last}" for last in _IDS if f"{prefix}{last}" not in taken), None)
    if free is None:
        raise InvalidInput(f"all ids that begin with {prefix} are taken: retire keys first")
    return free


def _named(key_id: str, key: Any) -> str:
    return public_fingerprint(key_id, key.public_bytes_raw())


def _leaf(chain: Path) -> str:
    return f"leaf-{CertificateChain.read(chain).fingerprint[:8]}"
