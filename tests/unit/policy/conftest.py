import shutil

import pytest

from nightlight.policy.compile import compile_folder, compile_pack
from nightlight.policy.load import load
from tests.conftest import ROOT


class Edited:
    """A copy of the default pack that a test changes."""

    def __init__(self, folder):
        self.folder = folder
        shutil.copytree(ROOT / "policies", folder)

    def change(self, file, old, new, *, count=1):
        path = self.folder / file
        text = path.read_text()
        assert text.count(old) >= 1, (file, old)
        path.write_text(text.replace(old, new, count))
        return self

    def add(self, file, text):
        path = self.folder / file
        path.write_text(path.read_text() + text)
        return self

    def without_cases(self):
        for case in (self.folder / "cases").glob("*.yaml"):
            case.unlink()
        return self

    def without_capture(self):
        """The pack as one from before the vocabulary could name capture; checks that forbid it may stay."""
        self.change("vocabulary.yaml", "  capture: [forbid, allow]", "  #")
        path = self.folder / "rules.yaml"
        head, *rules = path.read_text().split("  - id: ")
        path.write_text("  - id: ".join([head, *(rule for rule in rules if "{capture:" not in rule)]))
        return self.without_cases()

    def compiled(self):
        return compile_pack(load(self.folder))

    def checked(self):
        return compile_folder(self.folder)


@pytest.fixture(scope="module")
def edited_once(tmp_path_factory):
    """The same for a whole module."""
    return Edited(tmp_path_factory.mktemp("pack") / "policies")


@pytest.fixture
def edited(tmp_path):
    return Edited(tmp_path / "policies")
