"""The sandbox from outside and from inside: what a decoder that an upload has taken over could do."""

import json
import os
import signal
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from nightlight.imaging import sandbox as sandbox_module
from nightlight.imaging import seccomp
from nightlight.imaging.decoder_process import RESPONSE_HEAD_BYTES
from nightlight.imaging.formats import Format
from nightlight.imaging.header import Header
from nightlight.imaging.probe import UploadCaps, probe
from nightlight.imaging.sandbox import Sandbox, SandboxLimits
from nightlight_core.errors import (
    CorruptImage,
    DecoderDied,
    DecoderTooSlow,
    ImageTooLarge,
    SandboxUnavailable,
    SettingsRefused,
)
from tests.support import hostile, pictures
from tests.support.in_process import InProcessDecoder
from tests.support.waiting import HANG_S, eventually

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(bool(seccomp.unavailable_reason()), reason=f"no seccomp here: {seccomp.unavailable_reason()}"),
]

# Killed by the filter, except where a limit answers first.
FORBIDDEN = {
    "open a file": "SIGSYS",
    "make a file": "SIGSYS",
    "write to what was inherited": "SIGSYS",
    "open a socket": "SIGSYS",
    "fork": "SIGSYS",
    "run a program": "SIGSYS",
    "trace the parent": "SIGSYS",
    "read another's memory": "SIGSYS",
    "kill the parent": "SIGSYS",
    "map executable memory": "SIGSYS",
    "raise its limits": "SIGSYS",
    "start a thread": "SIGSYS",
    "lift the filter": "SIGSYS",
    "die": "SIGSEGV",
    "abort": "SIGSYS",
}


@pytest.fixture(autouse=True)
def long_start(monkeypatch):
    """A child that ends late, on a slow machine, is waited for."""
    monkeypatch.setattr(sandbox_module, "_EXIT_TIMEOUT_S", HANG_S)


@pytest.fixture(scope="module")
def breakout():
    """A sandbox whose helper tries what it is asked to, shut in as the real one is."""
    limits = SandboxLimits(cpu_s=1, wall_s=HANG_S, start_s=HANG_S)
    with closing(Sandbox(limits, module="tests.support.breakout", folder=Path.cwd())) as opened:
        opened.start()
        yield opened


def attempt(sandbox, name):
    answer = sandbox.send_request({}, name.encode(), response_bytes=RESPONSE_HEAD_BYTES + 4096)
    return json.loads(bytes(answer[:RESPONSE_HEAD_BYTES]))


@pytest.mark.parametrize("name", FORBIDDEN)
def test_what_is_forbidden_ends_the_decoder(breakout, name):
    with pytest.raises(DecoderDied) as died:
        attempt(breakout, name)
    assert died.value.how == FORBIDDEN[name]
    assert attempt(breakout, "nothing")["outcome"] == "succeeded"  # the next picture has a child of its own


def test_a_gigabyte_is_refused(breakout):
    assert attempt(breakout, "take a gigabyte")["outcome"] == "no memory"


def test_the_processor_is_not_to_be_had_for_ever():
    limits = SandboxLimits(cpu_s=1, wall_s=HANG_S)
    opened = Sandbox(limits, module="tests.support.breakout", folder=Path.cwd())
    with opened as sandbox, pytest.raises(DecoderTooSlow) as died:
        attempt(sandbox, "use the processor for ever")
    assert died.value.how == "SIGXCPU"


def test_a_decoder_that_hangs_is_killed_with_its_helper_and_the_next_picture_gets_a_fresh_one(breakout, monkeypatch):
    before = breakout.pid
    with monkeypatch.context() as patch, pytest.raises(DecoderDied) as died:
        patch.setattr(breakout, "_limits", replace(breakout._limits, wall_s=0.2))
        attempt(breakout, "hang")
    assert died.value.how == "timeout"
    eventually(lambda: not Path(f"/proc/{before}").exists() or None)
    assert attempt(breakout, "nothing")["outcome"] == "succeeded"
    assert breakout.pid != before


def test_what_one_picture_leaves_no_other_finds(breakout):
    attempt(breakout, "leave something behind")
    assert attempt(breakout, "nothing")["left"] == ""


def test_a_decoder_that_rings_too_often_does_not_answer_for_the_next_picture(breakout):
    breakout.send_request(
        {}, b"ring the bell in advance", response_bytes=RESPONSE_HEAD_BYTES
    )  # it may not have answered yet
    for _ in range(3):
        assert attempt(breakout, "nothing")["outcome"] == "succeeded"


def test_a_decoder_that_stays_after_its_answer_is_gone_before_the_next_picture(breakout, monkeypatch):
    """It answers nothing, says that it is done, and hangs on with its upload mapped."""
    before = breakout.pid
    breakout.send_request({}, b"ring the bell and stay", response_bytes=RESPONSE_HEAD_BYTES)
    monkeypatch.setattr(sandbox_module, "_EXIT_TIMEOUT_S", 0.1)
    assert attempt(breakout, "nothing")["outcome"] == "succeeded"
    assert breakout.pid != before
    assert not Path(f"/proc/{before}").exists()


@pytest.mark.parametrize("lie", ["lie about the size", "answer with no JSON", "answer with a deep JSON"])
def test_an_answer_that_makes_no_sense_is_no_picture(breakout, lie):
    with pytest.raises(DecoderDied) as died:
        breakout.frame(lie.encode(), Header(Format.PNG, 64, 64), edge=64)
    assert died.value.how == "nonsense"


def test_the_helper_holds_no_secret_and_no_descriptor_but_its_four(monkeypatch):
    monkeypatch.setenv("NIGHTLIGHT_DELIVERY_NAME_KEY", "a secret")
    with Sandbox() as sandbox:
        environment = Path(f"/proc/{sandbox.pid}/environ").read_bytes()
        assert b"NIGHTLIGHT" not in environment
        open_ones = sorted(str(path.readlink()) for path in Path(f"/proc/{sandbox.pid}/fd").iterdir())
    kinds = [name.split(":")[0] for name in open_ones if name != "/dev/null"]
    assert len([name for name in kinds if name.startswith("/memfd")]) == 2
    assert len([name for name in kinds if name == "socket"]) == 1
    assert len([name for name in kinds if name == "pipe"]) == 1


def test_the_helper_is_shut_in_by_the_kernels_own_word():
    with Sandbox() as sandbox:
        sandbox.frame(pictures.jpeg(64, 48), probe(pictures.jpeg(64, 48), UploadCaps()), edge=48)
        status = dict(
            line.split(":\t", 1)
            for line in Path(f"/proc/{sandbox.pid}/status").read_text().splitlines()
            if ":\t" in line
        )
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert status["Threads"] == "1"


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "AVIF", "GIF"])
@pytest.mark.parametrize("size", [(640, 480), (333, 1000), (7, 5)])
def test_pixels_are_the_same_inside_and_outside(sandbox, format_, size):
    data = pictures.encoded(pictures.gradient(*size), format_)
    header = probe(data, UploadCaps())
    inside = sandbox.frame(data, header, edge=320)
    assert inside.tobytes() == InProcessDecoder().frame(data, header, edge=320).tobytes()
    assert inside.info == {}


def test_a_corrupt_picture_is_refused_with_the_decoders_word(sandbox):
    data = hostile.jpeg_before(b"\xff\xf0", pictures.jpeg(320, 240))  # a marker that libjpeg does not know
    with pytest.raises(CorruptImage, match="jpeg: ValueError"):
        sandbox.frame(data, probe(data, UploadCaps()), edge=64)


def test_an_animation_without_frames_is_a_picture_inside_and_outside(sandbox):
    frames = [pictures.gradient(64, 48, seed=seed) for seed in range(2)]
    data = pictures.encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])
    at = data.index(b"acTL") + 4
    broken = data[:at] + bytes(4) + data[at + 4 :]  # no frames at all
    before = sandbox.pid
    assert outcome(sandbox, broken) == outcome(InProcessDecoder(), broken) == frames[0].tobytes()
    assert sandbox.alive
    assert sandbox.pid == before


def outcome(frames, data):
    """The pixels that come of a picture, or the word that it is refused with."""
    try:
        return frames.frame(data, probe(data, UploadCaps()), edge=48).tobytes()
    except CorruptImage as error:
        return error.code


def test_more_memory_than_is_let_is_a_picture_too_large():
    data = pictures.png(pictures.gradient(3000, 3000), interlaced=True)
    with Sandbox(SandboxLimits(memory_bytes=20_000_000)) as sandbox, pytest.raises(ImageTooLarge, match="more memory"):
        sandbox.frame(data, probe(data, UploadCaps(), edge=64), edge=64)


def test_a_helper_that_never_says_that_it_is_ready_is_not_waited_for_and_not_left_running():
    sandbox = Sandbox(SandboxLimits(start_s=0.5), module="tests.support.silent", folder=Path.cwd())
    with closing(sandbox):
        for _ in range(2):  # nor is it taken for a good one the next time
            with pytest.raises(SandboxUnavailable):
                sandbox.start()
            assert not sandbox.alive


def test_a_helper_that_was_killed_is_replaced(sandbox):
    data = pictures.jpeg(320, 240)
    sandbox.frame(data, probe(data, UploadCaps()), edge=64)
    before = sandbox.pid
    os.kill(before, signal.SIGKILL)
    eventually(lambda: not sandbox.alive or None)
    assert sandbox.frame(data, probe(data, UploadCaps()), edge=64).size == (85, 64)
    assert sandbox.pid != before


def test_the_helper_ends_with_its_parent():
    """The parent is killed so that nothing of it can tidy up."""
    read, write = os.pipe()
    parent = os.fork()
    if parent == 0:
        sandbox = Sandbox()
        sandbox.start()
        os.write(write, str(sandbox.pid).encode())
        signal.pause()
        os._exit(0)
    helper = int(os.read(read, 20))
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    assert eventually(lambda: not _runs(helper) or None)


def _runs(pid):
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def test_without_seccomp_it_does_not_start_unless_told_otherwise(monkeypatch):
    """A libseccomp that cannot be found: the helper is really started, and really cannot find it."""
    nowhere = {"PATH": "/nowhere", "NIGHTLIGHT_TEST": "1"}
    monkeypatch.setattr(sandbox_module, "helper_environment", lambda: nowhere)
    with pytest.raises(SettingsRefused, match="NIGHTLIGHT_WORKER_SANDBOX=limits_only"):
        Sandbox(module="tests.support.no_seccomp", folder=Path.cwd()).start()
    lenient = Sandbox(require_seccomp=False, module="tests.support.no_seccomp", folder=Path.cwd())
    with closing(lenient):
        lenient.start()
        assert not lenient.seccomp
        data = pictures.jpeg(320, 240)
        assert lenient.frame(data, probe(data, UploadCaps()), edge=64).size == (85, 64)


def test_heic_may_start_a_thread_and_nothing_else_may(sandbox):
    data = pictures.heic(320, 240)
    header = probe(data, replace(UploadCaps(), formats=frozenset(Format)))
    assert sandbox.frame(data, header, edge=64).size == (85, 64)


def test_growing_and_shrinking_pictures_share_the_memory_without_harm(sandbox):
    for width, height in ((100, 80), (2000, 1500), (60, 60), (1200, 900)):
        data = pictures.jpeg(width, height)
        header = probe(data, UploadCaps())
        assert (
            sandbox.frame(data, header, edge=640).tobytes()
            == InProcessDecoder().frame(data, header, edge=640).tobytes()
        )


def test_a_picture_is_given_the_seconds_that_its_header_lets_expect_and_is_not_asked_for_again():
    """Its scans were not counted, say: what is known of a picture may be too little."""
    data = hostile.jpeg_scans(1_000)
    header = Header(Format.JPEG, 4_000, 3_000, staged=True, decode_s=0.01)
    with Sandbox(SandboxLimits(cpu_s=20, wall_s=HANG_S)) as sandbox, pytest.raises(DecoderTooSlow) as died:
        sandbox.frame(data, header, edge=64)
    assert died.value.how == "SIGXCPU"
    assert not died.value.retryable


def test_a_decoder_that_was_kept_waiting_by_the_machine_is_no_slow_one(breakout, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(DecoderDied) as died:
        patch.setattr(breakout, "_limits", replace(breakout._limits, wall_s=0.2))
        attempt(breakout, "hang")
    assert died.value.how == "timeout"
    assert not isinstance(died.value, DecoderTooSlow)


def test_a_slow_picture_is_decoded_behind_others():
    """Its decoder may lower its own priority, and does: the picture comes out as it would otherwise."""
    data = pictures.jpeg(640, 480)
    header = replace(probe(data, UploadCaps()), decode_s=1.0)
    with Sandbox(SandboxLimits(slow_s=0.5)) as sandbox:
        assert sandbox.frame(data, header, edge=64).size == (85, 64)
