"""Signs with a key in a hardware security module, by PKCS#11. The module is loaded on first use, after any fork.

A PIN that the token refuses is not sent again by this process: tokens lock after a few wrong ones.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightlight_core.errors import SigningFailed

if TYPE_CHECKING:
    from pkcs11 import Session

_ED25519_POINT_BYTES = 32
_PIN_REFUSED = ("PinIncorrect", "PinInvalid", "PinLenRange", "PinExpired", "PinLocked")


@dataclass(slots=True)
class HsmKey:
    """One key pair of a token, by its label: P-256, or Ed25519 where the module has it.

    ``module`` is the vendor's library. Threads may share it; each signature is made alone.
    """

    module: Path
    token: str
    label: str
    pin: str = field(repr=False)
    _session: Session | None = field(default=None, init=False, repr=False)
    _keys: dict[str, Any] = field(default_factory=dict, init=False, repr=False)
    _refused: bool = field(default=False, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def sign(self, data: bytes) -> bytes:
        """Return the signature of data: ECDSA (P-256, SHA-256) as DER, or Ed25519. Raises SigningFailed."""
        return self._with("PRIVATE_KEY", lambda key: _signed(key, data))

    def public_key(self) -> bytes:
        """Return the public key, DER SubjectPublicKeyInfo, for whoever issues its certificate; raises SigningFailed."""
        return self._with("PUBLIC_KEY", _described)

    def _with(self, kind: str, use: Callable[[Any], bytes]) -> bytes:
        """Return the result of ``use`` with a key; try once more in a new session if the open one has ended."""
        import pkcs11
        from pkcs11 import exceptions

        with self._lock:
            for again in (True, False):
                try:
                    return use(self._key(kind))
                except tuple(getattr(exceptions, name) for name in _PIN_REFUSED) as error:
                    self._refused = True
                    message = f"the token {self.token} refuses the PIN; it is not sent again before a restart"
                    raise SigningFailed(message) from error
                except (pkcs11.PKCS11Error, RuntimeError) as error:
                    self._close()
                    if not again:
                        raise SigningFailed(f"PKCS#11: {type(error).__name__} {error}".rstrip()) from error
        raise AssertionError

    def _key(self, kind: str) -> Any:
        import pkcs11

        if self._refused:
            raise SigningFailed(f"the token {self.token} refused the PIN")
        if self._session is None:
            token = pkcs11.lib(str(self.module)).get_token(token_label=self.token)
            try:
                self._session = token.open(user_pin=self.pin)
            except pkcs11.UserAlreadyLoggedIn:  # a log-in is the process's
                self._session = token.open()
        if kind not in self._keys:
            self._keys[kind] = self._session.get_key(object_class=pkcs11.ObjectClass[kind], label=self.label)
        return self._keys[kind]

    def _close(self) -> None:
        import pkcs11

        session, self._session, self._keys = self._session, None, {}
        if session is not None:
            try:
                session.close()
            except pkcs11.PKCS11Error:  # it has ended by itself
                return


def _signed(key: Any, data: bytes) -> bytes:
    from pkcs11 import KeyType, Mechanism
    from pkcs11.util.ec import encode_ecdsa_signature

    if key.key_type == KeyType.EC_EDWARDS:
        return bytes(key.sign(data, mechanism=Mechanism.EDDSA))
    digest = hashlib.sha256(data).digest()
    return bytes(encode_ecdsa_signature(key.sign(digest, mechanism=Mechanism.ECDSA)))


def _described(key: Any) -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519
    from pkcs11 import Attribute, KeyType
    from pkcs11.util.ec import encode_ec_public_key

    if key.key_type != KeyType.EC_EDWARDS:
        return bytes(encode_ec_public_key(key))
    point = bytes(key[Attribute.EC_POINT])[-_ED25519_POINT_BYTES:]
    public_key = ed25519.Ed25519PublicKey.from_public_bytes(point)
    return public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
