"""Every broken pack of ``broken/`` is refused with the message that an editor needs.

Each file says what somebody did to the default pack, and which problem must be told, with its place.
"""

import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from nightlight.policy.compile import compile_folder
from nightlight.policy.diagnostics import InvalidPolicy
from tests.conftest import ROOT

BROKEN = sorted((Path(__file__).parent / "broken").glob("*.yaml"))


def test_there_are_at_least_sixty():
    assert len(BROKEN) >= 60


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_it_is_refused_with_its_message_and_place(path, tmp_path):
    document = YAML(typ="safe").load(path)
    shutil.copytree(ROOT / "policies", tmp_path / "p")
    for change in document["changes"]:
        file = tmp_path / "p" / change["file"]
        text = file.read_text()
        assert change["old"] in text, "the default pack has changed; mend this file"
        file.write_text(text.replace(change["old"], change["new"], 1))
    with pytest.raises(InvalidPolicy) as refused:
        compile_folder(tmp_path / "p")
    hits = [p for p in refused.value.problems if p.code == document["code"] and document["message"] in p.message]
    assert hits, [str(problem) for problem in refused.value.problems]
    place = hits[0].position
    assert place.file in {change["file"] for change in document["changes"]} | {"rules.yaml", "retention.yaml"}
    assert place.line >= 1
    assert f"`{document['code']}`" in (ROOT / "docs/policy/errors.md").read_text()
