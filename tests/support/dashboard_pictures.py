"""Pictures of the dashboards for the docs, drawn from a real run: the scale deployment under load, seen by Prometheus.

    python -m tests.support.dashboard_pictures [--seconds 120]      write docs/images/dashboard-*.png

Prometheus scrapes every process each second and is asked what each panel asks, as Grafana would ask it. It needs the
services that tests need (NIGHTLIGHT_TEST_*, or `infra/dev/test.sh` before it) and Prometheus on the path.
"""

import argparse
import contextlib
import json
import random
import secrets
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import httpx
import matplotlib as mpl
import numpy as np
from PIL import Image

from nightlight.cli.embedded import free_port
from nightlight_client import Problem
from tests.conftest import ROOT
from tests.e2e.test_watched import addresses
from tests.support import pictures
from tests.support.stacks import Scale
from tests.support.waiting import HANG_S, eventually

mpl.use("Agg")
from matplotlib import pyplot as plt

DASHBOARDS, IMAGES = ROOT / "infra/dashboards", ROOT / "docs/images"
# What Grafana puts in place of its words, for scrapes of each second.
INTERVALS = {"$__rate_interval": "15s", "$__interval": "5s"}
PROFILES = 30
# Inches for a unit of Grafana's grid, which is 24 wide.
WIDE, HIGH = 0.62, 0.33
MOST_LEGEND = 8


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=120, help="how long the load is played")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as text,
        Scale(Path(text) / "stack") as stack,
        prometheus(Path(text) / "prometheus", addresses(stack)) as address,
    ):
        begin = time.time()
        play(stack, options.seconds)
        draw(address, begin, time.time())


@contextlib.contextmanager
def prometheus(folder, targets):
    """A Prometheus that scrapes these addresses each second; its own address."""
    folder.mkdir()
    names = [target.removeprefix("http://") for target in targets]
    job = {"job_name": "nightlight", "static_configs": [{"targets": names}]}
    config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    address = f"127.0.0.1:{free_port()}"
    command = [
        "prometheus", "--config.file=prometheus.yml", f"--web.listen-address={address}", "--storage.tsdb.path=data",
        "--log.level=error",
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=folder)
    try:
        eventually(lambda: _answers(f"http://{address}/-/ready"))
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(HANG_S)


def _answers(url):
    try:
        return httpx.get(url).status_code == 200
    except httpx.HTTPError:
        return False


def play(stack, seconds):
    """What a platform's backend and its viewers do: uploads, decisions, pictures, blocks, notices, traces, erasures."""
    over = threading.Event()
    with stack.client() as client:
        for number in range(PROFILES):
            band = ("under_13", "age_13_15", "age_16_17", "adult", "adult")[number % 5]
            client.declare(f"p{number}", band=band, assurance="verified", region="eu", choice="connections")
        players = [
            threading.Thread(target=_again, args=(over, client, step)) for step in (_upload, _look, _look, _rare)
        ]
        for player in players:
            player.start()
        time.sleep(seconds)
        over.set()
        for player in players:
            player.join()


def _again(over, client, step):
    while not over.is_set():
        with contextlib.suppress(Problem):
            step(client)
        over.wait(random.uniform(0, 2) * {_upload: 1.0, _look: 0.2, _rare: 2.5}[step])


def _upload(client):
    client.upload(f"p{random.randrange(PROFILES)}", _picture())


def _look(client):
    relations = ("stranger", "stranger", "connection", "self")
    asked = [(f"p{number}", random.choice(relations)) for number in random.sample(range(PROFILES), 10)]
    viewer = f"viewer-{random.randrange(200)}"
    for decision in client.decide("peer", "list", asked, viewer_id=viewer):
        if random.random() < 0.3:
            client.fetch(decision.url)


def _rare(client):
    profile_id = f"p{random.randrange(PROFILES)}"
    done = random.randrange(5)
    if done == 0:
        client.block(profile_id, f"viewer-{random.randrange(200)}")
    elif done == 1:
        client.revoke(profile_id)
    elif done == 2:
        client.delete_image(client.upload(profile_id, _picture()).image_id)
    elif done == 3:
        client.trace(_picture())
    else:
        client.place_takedown(_picture(), kind="other", reference="case-1")


def _picture():
    """A photograph cut at random, so that none is the other's copy."""
    whole = pictures.opened(pictures.photograph(random.choice(["astronaut.png", "coffee.png", "rocket.jpg"])))
    side = random.randrange(180, 360)
    left, top = (random.randrange(extent - side) for extent in whole.size)
    pixels = np.asarray(whole.convert("RGB").crop((left, top, left + side, top + side)))
    noise = np.random.default_rng(secrets.randbits(32)).integers(-6, 7, pixels.shape)
    return pictures.encoded(Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8)), "JPEG", quality=88)


def draw(address, begin, end):
    with httpx.Client(base_url=address, timeout=HANG_S) as asked:
        for path in sorted(DASHBOARDS.glob("*.json")):
            board = json.loads(path.read_text("utf-8"))
            _draw_board(board, asked, begin, end).savefig(IMAGES / f"dashboard-{path.stem}.png", dpi=72)
            plt.close()


def _draw_board(board, asked, begin, end):
    high = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"]) + 1
    figure = plt.figure(figsize=(24 * WIDE, high * HIGH))
    figure.text(0.01, 1 - 0.7 / high, board["title"], fontsize=13, fontweight="bold", va="center")
    for panel in board["panels"]:
        grid = panel["gridPos"]
        top = 1 - (grid["y"] + 1) / high
        if panel["type"] == "row":
            figure.text(0.01, top - 0.6 / high, panel["title"], fontsize=11, color="#36c", va="center")
        elif panel["type"] == "timeseries":
            box = [
                (grid["x"] + 1.2) / 24,
                top - (grid["h"] - 1.2) / high,
                (grid["w"] - 1.7) / 24,
                (grid["h"] - 2.4) / high,
            ]
            _draw_panel(figure.add_axes(box), panel, asked, begin, end)
    return figure


def _draw_panel(axes, panel, asked, begin, end):
    axes.set_title(panel["title"], fontsize=8, loc="left", pad=3)
    axes.tick_params(labelsize=6)
    axes.grid(color="#ddd", linewidth=0.5)
    axes.set_xlim(0, end - begin)
    lines = 0
    for target in panel["targets"]:
        for series in _series(target, asked, begin, end):
            moments, values = np.array([[float(part) for part in value] for value in series["values"]]).T
            named = lines < MOST_LEGEND
            label = _label(target.get("legendFormat", ""), series["metric"]) if named else None
            axes.plot(moments - begin, values, linewidth=1.1, label=label)
            lines += 1
    unit = panel["fieldConfig"]["defaults"].get("unit", "")
    axes.set_ylabel({"s": "s", "cps": "per s", "percentunit": "share"}.get(unit, ""), fontsize=6)
    top = max(axes.get_ylim()[1], 1e-9) if lines else 1.0
    axes.set_ylim(-0.04 * top, 1.35 * top)  # a line at nothing is seen, and the legend has room
    if lines:
        axes.legend(fontsize=6, loc="upper left", frameon=False, ncols=2, handlelength=1.2)
    else:
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", color="#888", fontsize=8)


def _series(target, asked, begin, end):
    question = target["expr"]
    for word, interval in INTERVALS.items():
        question = question.replace(word, interval)
    window = {"query": question, "start": begin, "end": end, "step": "2"}
    answer = asked.get("/api/v1/query_range", params=window).raise_for_status()
    return answer.json()["data"]["result"]


def _label(form, labels):
    for name, value in labels.items():
        form = form.replace("{{" + name + "}}", value)
    return form


if __name__ == "__main__":
    main()
