"""The worked changes of docs/recipes.md apply to this tree, touch as few files as they say, and work."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import HANG_S

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]
TREE = ("nightlight", "service", "workers", "clients/python", "policies", "tests/support", "tests/unit/imaging/test_formats.py",
        "tests/conftest.py", "tests/__init__.py", "pyproject.toml", "docs/recipes")  # fmt: skip


@pytest.fixture
def tree(tmp_path):
    """A copy of the code that a change may be tried on."""
    for name in TREE:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, tmp_path / name)
    return tmp_path


def changed(recipe):
    """The files that a recipe's patch touches: (of code, of policies)."""
    files = re.findall(r"^\+\+\+ b/(.+)$", (ROOT / f"docs/recipes/{recipe}.patch").read_text(), re.MULTILINE)
    policies = [name for name in files if name.startswith("policies/")]
    return len(files) - len(policies), len(policies)


def done(tree, recipe, *command):
    """Apply a recipe and run a command in the changed tree; return what it printed."""
    subprocess.run(["git", "apply", f"docs/recipes/{recipe}.patch"], cwd=tree, check=True, timeout=HANG_S)
    environment = {**os.environ, "PYTHONPATH": f"{tree}:{tree / 'clients/python'}"}
    ended = subprocess.run(
        [sys.executable, *command],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=HANG_S,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_a_tier_is_two_policy_files_and_no_code(tree):
    assert changed("tier") == (0, 2)
    code = (
        "from pathlib import Path; from nightlight.policy.compile import compile_folder as c; from nightlight.imaging.recipe import build_recipes;"
        "p = c(Path('policies')); t = p.table.tiers;"
        "r = build_recipes(t, order=p.pack.vocabulary.outcomes.tier);"
        "print([(x.tier, x.edge) for x in r if x.tier == 'small'])"
    )
    assert done(tree, "tier", "-c", code).strip() == "[('small', 128)]"


def test_a_format_is_at_most_three_files(tree):
    files, policies = changed("format")
    assert files <= 3
    assert policies == 0
    output = done(tree, "format", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit/imaging/test_formats.py")
    assert "passed" in output
    code = (
        "import io; from PIL import Image; from nightlight.imaging.probe import UploadCaps, probe;"
        "b = io.BytesIO(); Image.new('RGB', (64, 48), 'teal').save(b, 'BMP'); h = probe(b.getvalue(), UploadCaps());"
        "print(h.format.value, h.width, h.height)"
    )
    environment = {**os.environ, "PYTHONPATH": f"{tree}:{tree / 'clients/python'}"}
    command = [sys.executable, "-c", code]
    assert (
        subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=True).stdout
        == "bmp 64 48\n"
    )


def test_a_relation_word_is_at_most_two_files_beside_the_policy(tree):
    files, policies = changed("relation")
    assert files <= 2
    assert policies == 2
    code = (
        "from pathlib import Path; from nightlight.policy.compile import compile_folder as c;"
        "from nightlight_core.decisions.relation_proofs import issue_proof; from nightlight_core.decisions.relation_resolver import Claim, RelationResolver;"
        "keys = {'k1': bytes(32)}; proof = issue_proof(keys, 'v', 'p', 'relative', now=1_800_000_000, life_s=60);"
        "(r,) = RelationResolver(keys, None, leeway_s=5).resolve('v', [Claim('p', 'relative', proof)], set(), now=1_800_000_001, revoked=[{}]);"
        "t = c(Path('policies')).table;"
        "o = t.decide(dict(subject_age='adult', assurance='verified', relation=r.relation, region='eu', viewer='adult', context='profile', choice='connections', report_flag='clear'));"
        "print(r.relation, o.tier)"
    )
    assert done(tree, "relation", "-c", code).strip() == "relative low"
