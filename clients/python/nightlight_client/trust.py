"""The certificates that a client trusts where it is told of none: certifi's, or those of OpenSSL's own variables."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nightlight_client.options import HttpOptions


def trusted(options: HttpOptions, *urls: str | None) -> ssl.SSLContext | None:
    """Return the TLS context of the options, or a new one; None where none of the URLs needs one."""
    if options.tls is not None:
        return options.tls
    if not any(url and url.lower().startswith("https:") for url in urls):
        return None  # reading the certificates takes 30 ms
    import certifi

    named = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if any(named):
        return ssl.create_default_context(cafile=named[0] or None, capath=named[1] or None)
    return ssl.create_default_context(cafile=certifi.where())
