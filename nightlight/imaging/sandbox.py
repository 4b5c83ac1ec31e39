"""The sandbox of the decoders, seen from outside: untrusted bytes go in, plain pixels come out.

A helper process (``nightlight.imaging.decoder_process``) holds warm decoders and forks a child for every picture. Both
are confined by ``nightlight.imaging.seccomp``: no files, no network, no programs, no memory beyond a limit. The upload
goes in and the pixels come out through anonymous memory that only these processes share.

A child writes to the ready pipe when its response is complete. The response is read while the child exits, and the next
picture waits until it has. A child that is killed, or that takes too long, costs its own picture alone.
"""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from PIL import Image

from nightlight import telemetry
from nightlight.imaging.crop import MAX_ASPECT, most_pixels
from nightlight.imaging.decode_memory import whole_bytes
from nightlight.imaging.decoded_frame import StageTimes
from nightlight.imaging.decoder_process import RESPONSE_HEAD_BYTES, receive_message, send_message
from nightlight.imaging.decoders.shrink import unshrunk_size
from nightlight.imaging.formats import FORMATS
from nightlight.imaging.helper_process import children_cpu_s, helper_environment, wait_readable
from nightlight.imaging.probe import decode_bytes
from nightlight.imaging.sandbox_response import exit_cause, failure_text, read_frame
from nightlight.imaging.shared_memory import SharedMemory
from nightlight_core.errors import DecoderDied, DecoderTooSlow, SandboxUnavailable, SettingsRefused

if TYPE_CHECKING:
    from types import TracebackType

    from nightlight.imaging.crop import Region
    from nightlight.imaging.header import Header

# A child that has responded exits within this time, or it is killed with its helper.
_EXIT_TIMEOUT_S = 2.0
# A picture may take its estimated CPU seconds times a factor, for machines slower than the one that decode_cost was
# measured on, and some seconds more.
_EXTRA_CPU_S, _SLOW_MACHINE_FACTOR = 2, 8
# A picture may add its estimated memory to the helper's address space, and so much for the heap's own reserve, what a
# child prepares, and the stack of HEIC's thread.
_EXTRA_MEMORY_BYTES = 40_000_000
_PIPE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What one picture may cost.

    ``memory_bytes``: the most address space of any picture, beyond that of the idle helper; each gets a limit by its
    own estimate. ``cpu_s``: the most CPU seconds of any picture; each
    gets a limit by its own estimate. ``wall_s``: seconds of the clock. ``start_s``: seconds until the helper must have
    started. A picture with an estimate of more than ``slow_s`` CPU seconds is decoded at a low priority.
    """

    memory_bytes: int = 165_000_000
    cpu_s: int = 20
    wall_s: float = 20.0
    start_s: float = 60.0
    slow_s: float = math.inf


class Sandbox:
    """One helper process. It starts when it is first needed, and again whenever it is gone. Not thread-safe."""

    def __init__(
        self,
        limits: SandboxLimits | None = None,
        *,
        require_seccomp: bool = True,
        module: str = "nightlight.imaging.decoder_process",
        folder: Path = Path("/"),
    ) -> None:
        """Keep the limits; nothing is started yet.

        ``module`` is the helper's program, and ``folder`` its working directory; tests use others.
        """
        self._limits = limits or SandboxLimits()
        self._require_seccomp = require_seccomp
        # With the root as working directory nothing is imported by accident; a test's program lies in its own folder.
        safe = ["-P"] if folder == Path("/") else []
        self._command = [sys.executable, *safe, "-s", "-m", module]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._upload = SharedMemory("upload")
        self._response = SharedMemory("response")
        self._ready_pipe = (-1, -1)  # read here; a child writes to it when its response is complete
        self._child_exiting = False  # a child has responded, and the helper has not reported its exit yet
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

        Raises SettingsRefused if seccomp is required and missing, SandboxUnavailable if the helper does not start.
        """
        if self.alive:
            return
        self.stop()
        ours, theirs = socket.socketpair()
        self._ready_pipe = os.pipe()
        passed = (theirs.fileno(), self._upload.descriptor, self._response.descriptor, self._ready_pipe[1])
        self._process = subprocess.Popen(  # noqa: S603 - our own module, by our own interpreter
            [*self._command, *map(str, passed)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=passed,
            env=helper_environment(),
            cwd=self._folder,
        )
        theirs.close()
        self._connection = ours
        try:
            hello = self._receive(self._limits.start_s)
        except OSError:  # no message in time, or a broken connection
            hello = None
        if not hello or hello.get("ready") is not True:
            self.stop()
            raise SandboxUnavailable("the sandboxed decoder did not start; its own message is above this one")
        self.seccomp = hello.get("seccomp") is True
        if self._require_seccomp and not self.seccomp:
            self.stop()
            raise SettingsRefused(
                f"decoders cannot be sandboxed here ({hello.get('reason')}); NIGHTLIGHT_WORKER_SANDBOX=limits_only "
                "decodes under resource limits alone"
            )

    def frame(
        self,
        data: bytes,
        header: Header,
        *,
        edge: int,
        region: Region | None = None,
        whole: bool = False,
        stages: StageTimes | None = None,
    ) -> Image.Image:
        """Return the frame (see ``nightlight.imaging.decoded_frame.make_frame``), made inside the sandbox.

        Raises CorruptImage, ImageTooLarge, DecoderDied (with its cause), DecoderTooSlow or SandboxUnavailable.
        """
        stages = stages or StageTimes()
        entry = FORMATS[header.format]
        size = (header.width, header.height)
        pixels = most_pixels(size, edge, region) if entry.exact_size else edge * (edge * MAX_ASPECT + 1)
        if whole:
            pixels = edge * max(size)
        if region is None and (unshrunk := unshrunk_size(header, edge)) is not None:
            pixels = max(pixels, math.prod(unshrunk))
        response_bytes = RESPONSE_HEAD_BYTES + pixels * 3
        needed = decode_bytes(header, edge=edge) + _EXTRA_MEMORY_BYTES + (whole_bytes(pixels) if whole else 0)
        request = {
            "header": asdict(header),
            "edge": edge,
            "region": list(asdict(region).values()) if region else None,
            "whole": whole,
            "threads": entry.threads,
            "memory_bytes": min(self._limits.memory_bytes, needed),
            "cpu_s": min(self._limits.cpu_s, math.ceil(_EXTRA_CPU_S + _SLOW_MACHINE_FACTOR * header.decode_s)),
            "slow": header.decode_s > self._limits.slow_s,
        }
        with stages.stage("sandbox"), telemetry.span("sandbox.frame"):
            return read_frame(self.send_request(request, data, response_bytes=response_bytes), header, edge, stages)

    def send_request(self, request: dict[str, Any], data: bytes, *, response_bytes: int) -> memoryview:
        """Send one request and its bytes to the helper; return the response, valid until the next request.

        Raises like ``frame``.
        """
        self._await_exit()
        self.start()
        self._upload.view(len(data))[:] = data
        response = self._response.view(response_bytes)
        limits = self._limits
        sizes = {"upload_bytes": len(data), "response_bytes": response_bytes}
        bounds = {"memory_bytes": limits.memory_bytes, "cpu_s": limits.cpu_s}
        request = {**bounds, **request, **sizes}
        try:
            send_message(self._connected(), request)
            ready = self._await_ready(limits.wall_s)
            self._child_exiting = True
            failure = None if ready else self._read_exit(limits.wall_s)
        except TimeoutError as error:
            used = children_cpu_s(self._process.pid) if self._process else 0.0
            self.stop()
            message = f"no response after {limits.wall_s:g} s, of which the decoder had the processor for {used:.1f}"
            # A decoder that has hardly run was kept waiting by the machine, so the picture is not to blame.
            error_class = DecoderTooSlow if used > min(request["cpu_s"], limits.wall_s) / 2 else DecoderDied
            raise error_class(message, how="timeout") from error
        except OSError as error:
            self.stop()
            raise DecoderDied(type(error).__name__, how="helper") from error
        finally:
            self._upload.clear()
        if failure is not None:
            cause = exit_cause(failure)
            message = f"the decoder was ended: {cause}{failure_text(response)}"
            raise (DecoderTooSlow if cause == "SIGXCPU" else DecoderDied)(message, how=cause)
        return response

    def _await_ready(self, timeout_s: float) -> bool:
        """Wait for the child; say whether its response is complete, or it exited without one. Raises TimeoutError."""
        readable = wait_readable(timeout_s, self._ready_pipe[0], self._connected().fileno())
        if not readable:
            raise TimeoutError
        return self._ready_pipe[0] in readable

    def _read_exit(self, timeout_s: float) -> dict[str, Any] | None:
        """Return the helper's report of the last child's exit, or None for a success; OSError if the helper is gone."""
        report = self._receive(timeout_s)
        self._child_exiting = False
        if report is None:
            raise OSError("the helper ended")
        self._peak_kb = int(report.get("peak_kb", 0))
        self._cpu_s = float(report.get("cpu_ms", 0)) / 1000
        return None if report.get("code") == 0 else report

    def _await_exit(self) -> None:
        """Wait until the last picture's child has exited, and empty the ready pipe."""
        if not self._child_exiting:
            return
        try:
            self._read_exit(_EXIT_TIMEOUT_S)
            while wait_readable(0, self._ready_pipe[0]):
                os.read(self._ready_pipe[0], _PIPE_BYTES)
        except OSError:
            self.stop()

    def stop(self) -> None:
        """Kill the helper and its child; the next picture starts another helper."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        for end in self._ready_pipe:
            if end >= 0:
                os.close(end)
        self._ready_pipe = (-1, -1)
        self._child_exiting = False
        # A killed child may live a moment longer than its helper. It keeps the old memory, and never sees the new.
        self._upload.renew()
        self._response.renew()

    def close(self) -> None:
        """Stop the helper and release the shared memory."""
        self.stop()
        self._upload.close()
        self._response.close()

    @property
    def pid(self) -> int | None:
        """Return the helper's process id while it runs."""
        return self._process.pid if self._process else None

    @property
    def peak_kb(self) -> int:
        """Return the most memory that the last picture's child had resident, in kB."""
        self._await_exit()
        return self._peak_kb

    @property
    def cpu_s(self) -> float:
        """Return the CPU seconds that the last picture's child used, its preparation included."""
        self._await_exit()
        return self._cpu_s

    @property
    def alive(self) -> bool:
        """Say whether the helper runs."""
        return self._process is not None and self._process.poll() is None

    def _connected(self) -> socket.socket:
        if self._connection is None:
            raise SandboxUnavailable("the helper is not running")
        return self._connection

    def _receive(self, timeout_s: float) -> dict[str, Any] | None:
        connection = self._connected()
        connection.settimeout(timeout_s)
        try:
            return receive_message(connection)
        except ValueError:  # not JSON: the helper is not itself any more
            return None
