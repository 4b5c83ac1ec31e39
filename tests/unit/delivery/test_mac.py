"""Our HMAC is hmac's, for keys and messages of every length."""

import hmac

from hypothesis import given
from hypothesis import strategies as st

from nightlight_core.mac import mac


@given(st.binary(max_size=200), st.binary(max_size=300))
def test_it_is_hmac(key, message):
    assert mac(key)(message) == hmac.digest(key, message, "sha256")
    assert mac(key)(message) == mac(key)(message)
