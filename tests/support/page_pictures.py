"""Fetch the pictures of pages as a browser would, and print what they are, as JSON.

    python -m tests.support.page_pictures PAGE ...

A page is a file or an address. For each: the pictures in their order, with the id of their <img> or None, width and height
in pixels, their SHA-256, and whether it is the placeholder.
"""

import hashlib
import html
import io
import json
import re
import sys
from pathlib import Path

import httpx
from PIL import Image

from nightlight_core.decisions.placeholder import placeholder_bytes
from tests.support.waiting import HANG_S


def pictures(page):
    """Return the pictures of a page; raises AssertionError for one that does not come."""
    text = httpx.get(page, timeout=HANG_S).text if page.startswith("http:") else Path(page).read_text("utf-8")
    tags = re.findall(r"<img [^>]+>", text)
    return [picture(dict(re.findall(r'(\w+)="([^"]*)"', tag))) for tag in tags]


def picture(attributes):
    response = httpx.get(html.unescape(attributes["src"]), timeout=HANG_S)
    assert response.status_code == 200, response
    with Image.open(io.BytesIO(response.content)) as image:
        width, height = image.size
    return {
        "id": attributes.get("id"),
        "width": width,
        "height": height,
        "sha256": hashlib.sha256(response.content).hexdigest(),
        "placeholder": response.content == placeholder_bytes(),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps({page: pictures(page) for page in sys.argv[1:]}))
