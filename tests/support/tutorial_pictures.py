"""The pictures of docs/tutorial.md: its feed as four viewers see it, in a headless Chromium.

python -m tests.support.tutorial_pictures           follow the tutorial here, and write docs/images/tutorial-*.webp
python -m tests.support.tutorial_pictures FOLDER    only take the pictures, of the feed that runs now, into a folder
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from tests.colour import browser
from tests.support import follow
from tests.support.waiting import HANG_S

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/tutorial.md"
IMAGES = ROOT / "docs/images"
FEED = "http://127.0.0.1:8000/?viewer="
# Who looks, in the name of the picture: the viewer's own feed, Ben's friend, a stranger to Ben, and whom Ben blocked.
VIEWERS = {"self": "ben", "friend": "cleo", "stranger": "dan", "blocked": "gus"}
WIDTH, HEIGHT = 680, 600
_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--force-color-profile=srgb", "--hide-scrollbars",
    "--disable-dev-shm-usage", "--disable-background-networking", f"--window-size={WIDTH},{HEIGHT}",
    "--virtual-time-budget=10000",  # until the pictures are there
)  # fmt: skip


def name_of(who):
    return f"tutorial-{who}.webp"


def take(folder):
    """Take the pictures of the feed that runs, into a folder."""
    for who, viewer in VIEWERS.items():
        with tempfile.TemporaryDirectory() as place:
            shot = Path(place) / "shot.png"
            options = [*_OPTIONS, f"--user-data-dir={place}", f"--screenshot={shot}", FEED + viewer]
            subprocess.run([browser.program(), *options], check=True, capture_output=True, timeout=HANG_S)
            with Image.open(shot) as picture:
                picture.convert("RGB").save(Path(folder) / name_of(who), quality=80, method=6)


def main(arguments):
    if arguments:
        take(Path(arguments[0]))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        taker = [sys.executable, "-m", __spec__.name, str(IMAGES)]
        reader = [sys.executable, "-m", "tests.support.follow", str(PAGE), folder, "--", *taker]
        # What the tutorial installs is here already, and the programs are this environment's.
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1"}
        return subprocess.run([*follow.alone(), *reader], cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
