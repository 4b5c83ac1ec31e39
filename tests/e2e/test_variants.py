"""Two variants of a tier: each viewer gets their own, and a set of leaked pictures names who leaked them."""

import json
import re
import shutil

import httpx
import pytest

from tests.support import pictures
from tests.support.command import run_command
from tests.support.stacks import ROOT, Embedded

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

PHOTOGRAPHS = {"astronaut.png": (0, 0, 500, 500), "coffee.png": (50, 0, 400, 400), "rocket.jpg": (100, 0, 420, 420),
               "retina.jpg": (200, 200, 1000, 1000), "ihc.png": (0, 0, 512, 512)}  # fmt: skip
VIEWERS = [f"viewer-{number}" for number in range(8)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    policy = tmp_path_factory.mktemp("two") / "policies"
    shutil.copytree(ROOT / "policies", policy)
    tiers = (policy / "tiers.yaml").read_text()
    changed = re.sub(r"(?m)^(  medium: \{)", r"\1variants: 2, ", tiers)
    assert changed != tiers
    (policy / "tiers.yaml").write_text(changed)
    with Embedded(tmp_path_factory.mktemp("variants"), NIGHTLIGHT_POLICY_DIR=str(policy)) as started:
        yield started


def test_a_set_of_leaked_pictures_names_whoever_was_given_them(stack, tmp_path):
    leaks, everybody = tmp_path / "leaks", {}
    leaks.mkdir()
    with stack.client() as client:
        for name, crop in PHOTOGRAPHS.items():
            profile_id = name.split(".")[0]
            client.declare(profile_id, band="age_16_17", assurance="verified", region="eu")
            image = client.wait(client.upload(profile_id, pictures.photograph(name), crop=crop).image_id)
            assert image.state == "ready"
            for viewer_id in VIEWERS:
                (decision,) = client.decide("peer", "profile", [(profile_id, "connection")], viewer_id=viewer_id)
                (again,) = client.decide("peer", "list", [(profile_id, "connection")], viewer_id=viewer_id)
                assert again.url == decision.url
                everybody.setdefault(viewer_id, []).append(decision.url)
            leaked = pictures.opened(httpx.get(everybody["viewer-5"][-1]).content).convert("RGB")
            (leaks / f"{profile_id}.jpg").write_bytes(pictures.encoded(leaked, "JPEG", quality=85))
    # That all eight are given the same happens to one picture in 128.
    assert sum(len(set(urls)) == 2 for urls in zip(*everybody.values(), strict=True)) >= 3
    viewers_file = tmp_path / "viewers.txt"
    viewers_file.write_text("\n".join(VIEWERS))
    options = ["--accuse", viewers_file, "--false-accusation", "0.5", "--json"]
    done = run_command(["trace", leaks, *options], stack.as_role("operator"))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["pictures"] == len(PHOTOGRAPHS)
    assert {accused_viewer["viewer"]: accused_viewer["agreements"] for accused_viewer in report["accused"]}[
        "viewer-5"
    ] == len(PHOTOGRAPHS)
