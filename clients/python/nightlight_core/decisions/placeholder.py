"""The placeholder: what everybody sees where nothing may be shown, or something is broken.

Its bytes come with the package, so that it can be served when the store cannot be reached. They are made
by ``tests.support.silhouette``; a test holds the two alike.
"""

from __future__ import annotations

from importlib import resources

EXTENSION = "webp"
# Its BlurHash (``nightlight.imaging.blurhash``): a test holds the two equal.
PLACEHOLDER_BLURHASH = "AINddt%M~qof"
# Whether it may be captured: the same for everybody, and the same as of every profile that outsiders see little of.
PLACEHOLDER_CAPTURE = "forbid"


def placeholder_bytes() -> bytes:
    """Return the placeholder, a WebP of 128 x 128 pixels."""
    return resources.files("nightlight_core.decisions").joinpath("placeholder.webp").read_bytes()
