"""JPEG XL in the sandbox: nothing is loaded or started there, and what takes too much memory is refused."""

import numpy as np
import pytest

from nightlight.imaging.formats import Format
from nightlight.imaging.probe import UploadCaps, probe
from nightlight.imaging.sandbox import Sandbox, SandboxLimits
from nightlight_core.errors import ImageTooLarge
from tests.support import jxl_files, odd, pictures

CAPS = UploadCaps(formats=frozenset(Format))


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox() as running:
        yield running


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize(("distance", "effort"), [(0, 1), (0, 7), (1.0, 3), (3.0, 7)])
def test_every_kind_is_decoded_under_the_filter(sandbox, mode, distance, effort):
    data = pictures.jxl(pictures.gradient(300, 220).convert(mode), distance=distance, effort=effort)
    frame = sandbox.frame(data, probe(data, CAPS), edge=100)
    assert (frame.mode, min(frame.size), sandbox.seccomp) == ("RGB", 100, True)


def test_a_profile_is_made_under_the_filter(sandbox):
    data = jxl_files.lossless(pictures.gradient(64, 64), colours=(10, 1, 13))
    shown = np.asarray(sandbox.frame(data, probe(data, CAPS), edge=64)).astype(int)
    assert np.array_equal(shown, odd.frame(data))


@pytest.mark.parametrize("memory_bytes", [5_000_000, 12_000_000, 20_000_000])
@pytest.mark.parametrize("distance", [0, 1.0])
def test_memory_that_is_refused_ends_no_decoder(memory_bytes, distance):
    data = pictures.jxl(pictures.gradient(2_400, 1_800), distance=distance, effort=1)
    with Sandbox(SandboxLimits(memory_bytes=memory_bytes)) as sandbox:
        pid = sandbox.pid
        with pytest.raises(ImageTooLarge, match="memory"):
            sandbox.frame(data, probe(data, CAPS), edge=320)
        assert sandbox.pid == pid
