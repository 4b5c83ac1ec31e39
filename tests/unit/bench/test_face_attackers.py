"""The attackers of ``make bench-face``, where its packages are installed."""

import json
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import ROOT

for needed in ("dlib", "sklearn", "face_recognition_models"):
    pytest.importorskip(needed, reason=f"{needed} comes with `make bench-face`")


@pytest.fixture
def bench(monkeypatch):
    """Programs in bench/ import each other by their bare names."""
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    import face_attackers
    import face_recognisers
    import face_statistics

    return face_attackers, face_recognisers, face_statistics


def people(generator, count, each, noise):
    """Pictures of people who differ in a few smooth patterns, under noise: rows, and who is on them."""
    patterns = generator.standard_normal((12, 1200))
    faces = generator.standard_normal((count, 12)) @ patterns
    who = np.repeat(np.arange(count), each)
    return (faces[who] + noise * generator.standard_normal((len(who), 1200))).astype(np.float32), who


def test_models_find_people_whom_they_were_not_fitted_to(bench):
    attackers, _, statistics = bench
    rows, who = people(np.random.default_rng(1), 160, 4, noise=4)
    vectors = [np.random.default_rng(2).standard_normal((160, 40))[who]]
    fit, test = slice(0, 400), slice(400, 640)
    models = attackers.Fitted(rows[fit], who[fit], [each[fit] for each in vectors])
    probes, enrolled = rows[test][0::4], rows[test][1::4]
    scores = models.scores(probes, enrolled, [each[test][1::4] for each in vectors])
    assert set(scores) == {"LDA", "kernel ridge", "small network"}
    assert statistics.rates(statistics.standardised(scores["LDA"]), np.arange(60)).at_1_percent.share > 0.9


def test_models_fitted_to_chance_find_by_chance(bench):
    attackers, _, statistics = bench
    generator = np.random.default_rng(3)
    rows = generator.standard_normal((640, 1200)).astype(np.float32)
    models = attackers.Fitted(rows[:400], np.repeat(np.arange(100), 4), [])
    scores = models.scores(rows[400:520], rows[520:], [])["LDA"]
    assert statistics.rates(scores, np.arange(120)).at_1_percent.low < 0.02


def test_several_pictures_of_one_person_find_more(bench):
    attackers, _, statistics = bench
    generator = np.random.default_rng(4)
    scores = generator.standard_normal((300, 500))
    scores[np.arange(300), np.repeat(np.arange(30), 10)] += 1.5
    first, all_of_them = (
        statistics.rates(attackers.together(scores, [np.arange(size) + at for at in range(0, 300, 10)]), np.arange(30))
        for size in (1, 10)
    )
    assert all_of_them.at_1_percent.low > first.at_1_percent.share


def test_a_turned_scaled_and_moved_face_is_turned_back(bench):
    _, recognisers, _ = bench
    turn = 3 * np.array([[0.8, -0.6], [0.6, 0.8]])
    moved = recognisers.TEMPLATE @ turn.T + (7, -2)
    back = recognisers.similarity(moved, recognisers.TEMPLATE)
    assert moved @ back[:, :2].T + back[:, 2] == pytest.approx(recognisers.TEMPLATE)


def test_the_portraits_of_packages_go_through_the_whole_program(tmp_path):
    report = tmp_path / "report.json"
    done = subprocess.run(
        [sys.executable, "bench/face.py", "--quick", "--json", report, "--plot", tmp_path / "plot.svg"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "prove nothing" in done.stdout
    rows = json.loads(report.read_text())["rows"]
    assert {(row["tier"], row["attacker"]) for row in rows} >= {
        ("tiny", "same photograph"),
        ("BlurHash", "same photograph"),
    }
    assert (tmp_path / "plot.svg").stat().st_size > 1000
