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


def people(generator, count, each):
    """Pictures of people who differ in 12 patterns, under the chance of 60 others: rows, and who is on them."""
    patterns, others = generator.standard_normal((12, 1200)), generator.standard_normal((60, 1200))
    who = np.repeat(np.arange(count), each)
    faces = generator.standard_normal((count, 12)) @ patterns
    return (faces[who] + 0.5 * generator.standard_normal((len(who), 60)) @ others).astype(np.float32), who


def test_models_find_people_whom_they_were_not_fitted_to(bench):
    attackers, _, statistics = bench
    rows, who = people(np.random.default_rng(1), 160, 4)
    vectors = np.random.default_rng(2).standard_normal((160, 40))[who]
    models = attackers.Fitted(rows[:400], who[:400], [vectors[:400]])
    scores = models.scores(rows[400::4], rows[401::4], [vectors[401::4]])
    assert set(scores) == {"LDA", "kernel ridge", "small network"}
    result = statistics.rates(statistics.standardised(scores["LDA"]), np.arange(60))
    assert result.at_1_percent.low > 0.5


def test_other_people_are_found_by_chance_alone(bench):
    attackers, _, statistics = bench
    rows, who = people(np.random.default_rng(3), 160, 4)
    models = attackers.Fitted(rows[:400], who[:400], [])
    scores = models.scores(rows[400::4], rows[401::4], [])["LDA"]
    strangers = (np.arange(60) + 7) % 60
    assert statistics.rates(statistics.standardised(scores), strangers).at_1_percent.low < 0.01


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
