"""The cage, seen from outside: bytes that nobody trusts go in, plain pixels come out.

A helper process (``nightlight.imaging.decoder_process``) holds warm decoders and forks a child for every picture. Both
are shut in (``nightlight.imaging.seccomp``): no files, no network, no programs, no memory beyond a limit.
The upload goes in and the pixels come out through anonymous memory that only these processes have. A child
that is done rings a bell, a pipe, and its answer is read while it ends; the next picture is not put in before it
is gone. A child that is killed, or takes too long, costs its picture.
"""

from __future__ import annotations

import math
import os
import select
import socket
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from PIL import Image

from nightlight.imaging.crop import LONGEST, most_pixels
from nightlight.imaging.decoded_frame import Stages
from nightlight.imaging.decoder_process import ANSWER_HEAD, receive, send
from nightlight.imaging.header_readers import Format
from nightlight.imaging.sandbox_response import failure_in, how_it_ended, pixels_of
from nightlight.imaging.shared_memory import SharedMemory
from nightlight_core.errors import CageUnavailable, DecoderDied, DecoderTooSlow, SettingsRefused

if TYPE_CHECKING:
    from types import TracebackType

    from nightlight.imaging.crop import Region
    from nightlight.imaging.header_readers import Header

# Large memory pages, for which a fresh child pays fewer page faults; and one heap, so that the limit on address
# space is a limit on memory.
_MALLOC = "glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1"
# A child that has answered is gone within this time, or its helper is killed with it.
_DEATH_S = 2.0
# A picture is given so many times the CPU seconds that its header lets expect, for machines that are slower than the
# one of effort.py, and the first of them for nothing.
_SPARE_S, _SLOWEST = 2, 8
_BELLS = 1 << 16


@dataclass(frozen=True, slots=True)
class CageLimits:
    """What one picture may cost: address space in bytes on top of the idle helper, seconds of processor and clock.

    Of ``cpu_s`` each picture is given what its header lets expect, and more for a slow machine; from ``slow_s`` of that
    on its decoder gives way to other processes.
    """

    memory_bytes: int = 160_000_000
    cpu_s: int = 10
    wall_s: float = 20.0
    start_s: float = 60.0
    slow_s: float = math.inf


class Cage:
    """One helper process, started when it is first needed and again whenever it is gone. Not for several threads."""

    def __init__(
        self,
        limits: CageLimits | None = None,
        *,
        require_seccomp: bool = True,
        module: str = "nightlight.imaging.decoder_process",
        folder: Path = Path("/"),
    ) -> None:
        """Keep the limits; nothing is started yet.

        ``module`` is the helper's program and ``folder`` where it is started: tests have others.
        """
        self._limits = limits or CageLimits()
        self._require_seccomp = require_seccomp
        # From the root nothing is imported by chance; a program of the tests lies in the folder it is given.
        safe = ["-P"] if folder == Path("/") else []
        self._command = [sys.executable, *safe, "-s", "-m", module]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._upload = SharedMemory("upload")
        self._answer = SharedMemory("answer")
        self._bell = (-1, -1)  # a pipe: read here, written to by the child that is done
        self._unsettled = False  # a child has answered, and nobody has said yet that it is gone
        self.seccomp = False
        self._peak_kb = 0
        self._cpu_s = 0.0

    def __enter__(self) -> Self:
        """Start the helper."""
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop the helper."""
        self.close()

    def start(self) -> None:
        """Start the helper if it does not run.

        Raises SettingsRefused if it has no seccomp and must have it, CageUnavailable if it does not come up.
        """
        if self.alive:
            return
        self.stop()
        ours, theirs = socket.socketpair()
        self._bell = os.pipe()
        passed = (theirs.fileno(), self._upload.descriptor, self._answer.descriptor, self._bell[1])
        self._process = subprocess.Popen(  # noqa: S603 - our own module, by our own interpreter
            [*self._command, *map(str, passed)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=passed,
            env=_environment(),
            cwd=self._folder,
        )
        theirs.close()
        self._connection = ours
        try:
            hello = self._receive(self._limits.start_s)
        except OSError:  # nothing within the time, or the connection broke
            hello = None
        if not hello or hello.get("ready") is not True:
            self.stop()
            message = "the caged decoder did not start; its own message is above this one"
            raise CageUnavailable(message)
        self.seccomp = hello.get("seccomp") is True
        if self._require_seccomp and not self.seccomp:
            self.stop()
            message = (
                f"decoders cannot be shut in here ({hello.get('why')}); NIGHTLIGHT_WORKER_CAGE=limits_only decodes "
                "under resource limits alone"
            )
            raise SettingsRefused(message)

    def frame(
        self, data: bytes, header: Header, *, edge: int, region: Region | None = None, stages: Stages | None = None
    ) -> Image.Image:
        """Return the frame (see ``nightlight.imaging.decoded_frame.make_frame``), made inside the cage.

        Raises CorruptImage, ImageTooLarge, DecoderDied (with how), DecoderTooSlow or CageUnavailable.
        """
        stages = stages or Stages()
        heic = header.format is Format.HEIC  # whose header does not give the exact size
        pixels = edge * (edge * LONGEST + 1) if heic else most_pixels((header.width, header.height), edge, region)
        room = ANSWER_HEAD + pixels * 3
        request = {
            "header": asdict(header),
            "edge": edge,
            "region": list(asdict(region).values()) if region else None,
            "threads": heic,
            "cpu_s": min(self._limits.cpu_s, math.ceil(_SPARE_S + _SLOWEST * header.decode_s)),
            "slow": header.decode_s > self._limits.slow_s,
        }
        with stages.stage("cage"):
            return pixels_of(self.ask(request, data, answer_bytes=room), header, edge, stages)

    def ask(self, request: dict[str, Any], data: bytes, *, answer_bytes: int) -> memoryview:
        """Put one request and its bytes to the helper; return the answer, valid until the next one.

        Raises like ``frame``.
        """
        self._settle()
        self.start()
        self._upload.view(len(data))[:] = data
        answer = self._answer.view(answer_bytes)
        limits = self._limits
        sizes = {"upload_bytes": len(data), "answer_bytes": answer_bytes}
        bounds = {"memory_bytes": limits.memory_bytes, "cpu_s": limits.cpu_s}
        request = {**bounds, **request, **sizes}
        try:
            send(self._connected(), request)
            rung = self._rung(limits.wall_s)
            self._unsettled = True
            ended = None if rung else self._ended(limits.wall_s)
        except TimeoutError as error:
            used = self._used_s()
            self.stop()
            message = f"no answer after {limits.wall_s:g} s, of which the decoder had the processor for {used:.1f}"
            # A decoder that has hardly run was kept waiting by the machine: that says nothing of the picture.
            kind = DecoderTooSlow if used > min(request["cpu_s"], limits.wall_s) / 2 else DecoderDied
            raise kind(message, how="timeout") from error
        except OSError as error:
            self.stop()
            raise DecoderDied(type(error).__name__, how="helper") from error
        finally:
            self._upload.clear()
        if ended is not None:
            how = how_it_ended(ended)
            message = f"the decoder was ended: {how}{failure_in(answer)}"
            raise (DecoderTooSlow if how == "SIGXCPU" else DecoderDied)(message, how=how)
        return answer

    def _used_s(self) -> float:
        """Return the CPU seconds of the helper's child so far; 0 where nobody can say."""
        helper = self._process.pid if self._process else 0
        try:
            children = Path(f"/proc/{helper}/task/{helper}/children").read_text(encoding="ascii").split()
            stats = [Path(f"/proc/{child}/stat").read_text(encoding="ascii").rsplit(")", 1)[1] for child in children]
        except (OSError, IndexError):
            return 0.0
        return sum(int(ticks) for stat in stats for ticks in stat.split()[11:13]) / os.sysconf("SC_CLK_TCK")

    def _rung(self, timeout_s: float) -> bool:
        """Wait for the bell, or for the helper's word that the child has ended without ringing it."""
        ready = _ready(timeout_s, self._bell[0], self._connected().fileno())
        if not ready:
            raise TimeoutError
        return self._bell[0] in ready

    def _ended(self, timeout_s: float) -> dict[str, Any] | None:
        """Return how the last child ended if that was badly; raise OSError if the helper itself has."""
        ended = self._receive(timeout_s)
        self._unsettled = False
        if ended is None:
            message = "the helper ended"
            raise OSError(message)
        self._peak_kb = int(ended.get("peak_kb", 0))
        self._cpu_s = float(ended.get("cpu_ms", 0)) / 1000
        return None if ended.get("code") == 0 else ended

    def _settle(self) -> None:
        """See to it that the child of the last picture is gone, and its bell still, before the next one comes."""
        if not self._unsettled:
            return
        try:
            self._ended(_DEATH_S)
            while _ready(0, self._bell[0]):
                os.read(self._bell[0], _BELLS)
        except OSError:
            self.stop()

    def stop(self) -> None:
        """Kill the helper, and with it any child of its; the next picture starts another one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        for end in self._bell:
            if end >= 0:
                os.close(end)
        self._bell = (-1, -1)
        self._unsettled = False
        # A child that was killed with the helper may live a moment longer than it: it keeps the old memory to itself.
        self._upload.renew()
        self._answer.renew()

    def close(self) -> None:
        """Stop the helper and let go of the shared memory."""
        self.stop()
        self._upload.close()
        self._answer.close()

    @property
    def pid(self) -> int | None:
        """Return the helper's process id while it runs."""
        return self._process.pid if self._process else None

    @property
    def peak_kb(self) -> int:
        """Return the most memory that the last picture's child had resident, in kB."""
        self._settle()
        return self._peak_kb

    @property
    def cpu_s(self) -> float:
        """Return the CPU seconds that the last picture's child used, its rehearsal included."""
        self._settle()
        return self._cpu_s

    @property
    def alive(self) -> bool:
        """Say whether the helper runs."""
        return self._process is not None and self._process.poll() is None

    def _connected(self) -> socket.socket:
        if self._connection is None:
            message = "the helper is not running"
            raise CageUnavailable(message)
        return self._connection

    def _receive(self, timeout_s: float) -> dict[str, Any] | None:
        connection = self._connected()
        connection.settimeout(timeout_s)
        try:
            return receive(connection)
        except ValueError:  # not JSON: whatever it is, it is no helper of ours any more
            return None


def _ready(timeout_s: float, *descriptors: int) -> list[int]:
    """Return which of the descriptors can be read from, after waiting for at most so long."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll(timeout_s * 1000)]


def _environment() -> dict[str, str]:
    """Return the helper's environment: no setting of ours, and so no secret, is in it.

    ``PATH`` is for ldconfig, by which libseccomp is found.
    """
    path = f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"
    return {"PATH": path, "LANG": "C.UTF-8", "GLIBC_TUNABLES": _MALLOC}
