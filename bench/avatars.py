"""What a platform's avatar URL costs behind `nightlight edge nginx`: CPU of nginx beside nginx with a plain file.

python bench/avatars.py [--rounds N] [--json FILE]

One nginx and one service process over SQLite, one client; all in the same rounds, medians of rounds:

    plain      nginx serves the same bytes from a file, by the same URL; it writes each line of its access log at once, the edge
               some hundred together
    kept       the picture and its decision are in the cache: a viewer who asks again within a second or two
               (kept for longer here, so that every request of a round is one)
    asked      the picture is in the cache, the decision is made anew by the service for each request
"""

from __future__ import annotations

import argparse
import hashlib
import json
import secrets
import statistics
import sys
import tempfile
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from nightlight import one_thread  # noqa: F401 - before numpy is imported

# isort: split

import httpx
from rich.console import Console
from sqlalchemy import update

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.delivery import ROOT, serving
from bench.load import cpu, request, rounds
from bench.profiles import PICTURE, fill, name_of
from nightlight.catalogue import migrate
from nightlight.catalogue.engine import Catalogue
from nightlight.catalogue.schema import renditions
from nightlight.cli import key_commands
from nightlight.policy.compile import compile_folder
from nightlight.store.local import LocalStore
from tests.support.avatar_edge import TOKEN, AvatarEdge, ViewerKey
from tests.support.edge import Plain

KEPT, ASKED = 4_000, 500
# A relation proof, as far as its length goes.
PROOF = "r1.1795391700.1795392000.kq3v0Fz0k8b0k3mJH9lT2w"
EDGE = {"viewer_cookie": "viewer", "context": "list"}


def measure(asked, console):
    """Return microseconds of CPU for one request, by what is measured."""
    key, figures = ViewerKey(), {}
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        key_commands.init(folder)
        (folder / "viewers.json").write_text(json.dumps(key.jwks))
        url = f"sqlite:///{folder}/catalogue.sqlite3"
        catalogue = Catalogue(url)
        migrate.upgrade(catalogue.engine)
        fill(catalogue, 100)
        with catalogue.transaction() as tx:  # the recipe that those rows name is the one of today
            tx.recipes.add({"r": compile_folder(ROOT / "policies").table.pixels["tiny"]}, datetime.now(UTC))
        with catalogue.engine.begin() as connection:
            connection.execute(update(renditions).where(renditions.c.tier == "tiny").values(no_face_px=16))
        catalogue.close()
        store = LocalStore(folder / "objects/renditions")
        digest = hashlib.sha256(PICTURE).hexdigest()
        store.put(f"a/{name_of(0, 'tiny')}.webp", BytesIO(PICTURE), sha256=digest, content_type="image/webp")
        settings = {
            "NIGHTLIGHT_AVATARS_EDGE_TOKENS": f"{TOKEN},{secrets.token_urlsafe(32)}",
            "NIGHTLIGHT_AVATARS_VIEWER_JWKS": str(folder / "viewers.json"),
        }
        cookies = {
            "kept": f"viewer={key.token('v-1', 'adult', life_s=3600)}",
            # A token may bring relation proofs: two of them here.
            "long": f"viewer={key.token('v-1', 'adult', proofs={f'u-{n}': f'connection {PROOF}' for n in (1, 2)}, life_s=3600)}",
        }
        asks = {
            name: [request("GET", "/avatars/p-0?s=128", {"Cookie": cookie}, b"")] for name, cookie in cookies.items()
        }
        with (
            serving(folder, url, **settings) as (service, port),
            Plain(folder / "plain", "avatars/p-0", PICTURE) as plain,
            AvatarEdge(
                folder / "kept", f"http://127.0.0.1:{port}", {**EDGE, "keep_decisions": 60, "log": f"{folder}/kept.log"}
            ) as kept,
            AvatarEdge(
                folder / "asked",
                f"http://127.0.0.1:{port}",
                {**EDGE, "keep_decisions": 0, "log": f"{folder}/asked.log"},
            ) as decided,
        ):
            for server in (plain, kept, decided):
                answer = httpx.get(f"{server.url}/avatars/p-0?s=128", headers={"Cookie": cookies["kept"]})
                if answer.content != PICTURE:
                    raise SystemExit(
                        f"{type(server).__name__} serves {len(answer.content)} bytes, {answer.status_code}"
                    )
            for _ in range(asked.rounds):
                for name, server, each in (
                    ("plain", plain, KEPT),
                    ("kept", kept, KEPT),
                    ("long", kept, KEPT),
                    ("asked", decided, ASKED),
                ):
                    before = cpu(service.pid)
                    used, _ = rounds(
                        1, each, server.worker, int(server.url.rsplit(":", 1)[1]), asks.get(name, asks["kept"])
                    )
                    figures.setdefault(name, []).append(1000 * used)
                    if name == "asked":
                        # A round warms and a round counts.
                        figures.setdefault("service", []).append(1e6 * (cpu(service.pid) - before) / each / 2)
    medians = {name: statistics.median(values) for name, values in figures.items()}
    lengths = {name: len(cookie) - len("viewer=") for name, cookie in cookies.items()}
    ratios = [kept_us / plain_us for kept_us, plain_us in zip(figures["kept"], figures["plain"], strict=True)]
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}, median of rounds {statistics.median(ratios):.2f}"
    console.print(
        f"an avatar of {len(PICTURE):,} bytes, us of nginx: plain file {medians['plain']:.1f}; "
        f"kept {medians['kept']:.1f}, {medians['kept'] / medians['plain']:.2f} times ({spread}; a token of {lengths['kept']} characters), "
        f"{medians['long'] / medians['plain']:.2f} times with a token of {lengths['long']}; "
        f"asked {medians['asked']:.1f}, {medians['asked'] / medians['plain']:.2f} times, and {medians['service']:.0f} of the service"
    )
    return {**{f"{name}_us": value for name, value in medians.items()}, "ratio": medians["kept"] / medians["plain"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    figures = measure(asked, Console())
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
