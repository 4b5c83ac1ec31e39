import base64
import secrets

import pytest

from nightlight_core.errors import SettingsRefused
from nightlight_core.keyring import KeyRing, decode_key


@pytest.mark.parametrize(
    "text", ["", "a1", "a1:", "a1:!!!", f"a1:{base64.b64encode(bytes(31)).decode()}", "A1:x", "abc:x"]
)
def test_a_ring_that_cannot_be_read_is_refused_without_printing_it(text):
    with pytest.raises(SettingsRefused) as refused:
        KeyRing.parse(text, "THE_KEYS")
    assert "THE_KEYS" in str(refused.value)
    if len(text) > 6:
        assert text.split(":")[1] not in str(refused.value)


def test_a_ring_is_read_and_does_not_print_its_keys():
    secret = base64.b64encode(secrets.token_bytes(32)).decode()
    ring = KeyRing.parse(f"k2:{secret},k1:{secret}", "THE_KEYS")
    assert ring.signing_id == "k2"
    assert secret not in repr(ring)
    assert decode_key(secret, "x") == ring.keys["k1"]
