"""Which policy pack is used where none is named."""

import pytest

from nightlight.cli.policy_options import policies_here
from nightlight.settings import default_policies
from nightlight.settings.storage import PolicySettings
from nightlight_core.errors import SettingsRefused
from tests.conftest import ROOT

VARIABLE = "NIGHTLIGHT_POLICY_DIR"


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A folder that stands for the installed package."""
    package = tmp_path / "site-packages/nightlight"
    package.mkdir(parents=True)
    monkeypatch.setattr(default_policies.resources, "files", lambda _: package)
    return package


def pack(folder):
    folder.mkdir(parents=True)
    (folder / "vocabulary.yaml").touch()
    return folder


def test_a_process_decides_by_the_named_pack_or_by_the_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pack(tmp_path / "policies")  # what lies where a process was started means nothing to it
    assert PolicySettings().folder == ROOT / "policies"
    monkeypatch.setenv(VARIABLE, "elsewhere")
    assert str(PolicySettings().folder) == "elsewhere"


def test_the_packages_own_pack_comes_before_one_beside_it(installed):
    with pytest.raises(SettingsRefused, match=VARIABLE):
        default_policies.default_policies()
    beside = pack(installed.parent / "policies")
    assert default_policies.default_policies() == beside
    inside = pack(installed / "default_policies")
    assert default_policies.default_policies() == inside


def test_a_command_takes_the_named_pack_then_the_folder_here_then_the_default_and_says_so(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert policies_here() == ROOT / "policies"
    assert str(ROOT / "policies") in capsys.readouterr().err
    pack(tmp_path / "policies")
    assert str(policies_here()) == "policies"
    monkeypatch.setenv(VARIABLE, "elsewhere")
    assert str(policies_here()) == "elsewhere"
    assert capsys.readouterr().err == ""
