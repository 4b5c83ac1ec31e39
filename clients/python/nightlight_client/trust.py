"""The certificates that a client trusts where it is told of none: certifi's, or those of OpenSSL's own variables."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

from nightlight_client.errors import ClientMisconfigured

if TYPE_CHECKING:
    from nightlight_client.options import HttpOptions


def trusted(options: HttpOptions, *urls: str | None) -> ssl.SSLContext | None:
    """Return the TLS context of the options, or a new one; None where none of the URLs needs one.

    Raises ClientMisconfigured where the certificates cannot be read.
    """
    return options.tls if options.tls is not None else public(*urls)


def public(*urls: str | None) -> ssl.SSLContext | None:
    """Return a TLS context that shows no certificate of ours: for the hosts that viewers fetch from."""
    if not any(url and url.lower().startswith("https:") for url in urls):
        return None  # reading the certificates takes 30 ms
    import certifi

    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    try:
        if file or folder:
            return ssl.create_default_context(cafile=file or None, capath=folder or None)
        return ssl.create_default_context(cafile=certifi.where())
    except (OSError, ssl.SSLError) as error:
        raise ClientMisconfigured(
            f"the certificates of SSL_CERT_FILE or SSL_CERT_DIR cannot be read: {error}"
        ) from error
