"""Confines a process that decodes: resource limits, no new privileges, and a seccomp filter of system calls.

A filter kills by default. The helper's filter lets it fork and wait. The filter of the child that decodes lets it
compute and ask for memory, and for HEIC start a thread. A filter is never lifted: both are in force in the child.

Sources: seccomp(2), prctl(2), setrlimit(2); the filter itself is made by libseccomp.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import resource
import signal
import sys
import tempfile

# Memory, time and the exit of the process: all that a decoder needs. `mmap` and `mprotect` are added below with a
# condition on their argument.
_COMPUTE = (
    "brk", "clock_getres", "clock_gettime", "exit", "exit_group", "futex", "getpid", "getrandom", "gettid",
    "gettimeofday", "madvise", "mremap", "munmap", "rt_sigprocmask", "rt_sigreturn", "sched_yield", "time",
)  # fmt: skip
# What the helper does between pictures: wait for the next one, fork, wait for the child, report. `close`,
# `prctl`, `prlimit64` and those about descriptors are for the child's first moments, before its own filter.
_FORK = (
    "clone", "clone3", "close", "dup", "fcntl", "fork", "fstat", "newfstatat", "poll", "ppoll", "prctl",
    "prlimit64", "read", "recvfrom", "rseq", "rt_sigaction", "sendto", "set_robust_list", "setrlimit",
    "vfork", "wait4", "write",
)  # fmt: skip

# HEIC's decoder starts a thread whatever it is asked. A thread is no process: `fork` stays forbidden.
_THREAD = ("rseq", "set_robust_list")
_CLONE_THREAD = 0x00010000

# The niceness of a slow decoder: it gets a quarter of a core that other processes want.
BACKGROUND_NICENESS = 5
_PR_SET_PDEATHSIG = 1
_PR_GET_SECCOMP = 21
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2
_INSTRUCTION_BYTES = 8
_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_THRESHOLD = -3


_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    """``struct sock_fprog``: how many instructions, and where."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


class SeccompFilters:
    """The filters of helper and children. Building one takes milliseconds; installing one, microseconds."""

    def __init__(self, ready_fd: int = 0) -> None:
        """Build them; ``ready_fd`` is the one descriptor that a decoder may write to.

        Raises OSError or ImportError, with the reason, where seccomp is not available.
        """
        if sys.platform != "linux":
            raise OSError(f"seccomp is a part of Linux, and this is {sys.platform}")
        if _libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) < 0:
            raise OSError("this kernel has no seccomp")
        self.helper = _program(_COMPUTE + _FORK, refused=("open", "openat"), sets_priority=True)
        self.decoder = _program(_COMPUTE, writes_to=ready_fd)
        self.threaded = _program((*_COMPUTE, *_THREAD), writes_to=ready_fd, threads=True)


class SeccompFilter:
    """A compiled filter, which one call installs."""

    def __init__(self, program: bytes) -> None:
        """Keep ``program``, the kernel's instructions of eight bytes each."""
        self._code = ctypes.create_string_buffer(program, len(program))
        self._described = _Program(len(program) // _INSTRUCTION_BYTES, ctypes.addressof(self._code))
        self._reference = ctypes.byref(self._described)

    def install(self) -> None:
        """Install the filter on this process for good; raise OSError if the kernel refuses."""
        if _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, self._reference, 0, 0):
            raise OSError(f"the kernel refused the filter: errno {ctypes.get_errno()}")


def _program(
    allowed: tuple[str, ...],
    *,
    refused: tuple[str, ...] = (),
    writes_to: int | None = None,
    threads: bool = False,
    sets_priority: bool = False,
) -> SeccompFilter:
    import pyseccomp

    rules = pyseccomp.SyscallFilter(defaction=pyseccomp.KILL_PROCESS)
    for name in allowed:
        rules.add_rule(pyseccomp.ALLOW, name)
    for name in ("mmap", "mprotect"):
        # Memory that is not executable: the third argument has no PROT_EXEC in it.
        rules.add_rule(pyseccomp.ALLOW, name, pyseccomp.Arg(2, pyseccomp.MASKED_EQ, mmap.PROT_EXEC, 0))
    for name in refused:
        # Python 3.12 and newer open a file of /proc whenever they fork, and go on without it. A decoder's own filter
        # kills instead.
        rules.add_rule(pyseccomp.ERRNO(errno.EACCES), name)
    if writes_to is not None:
        rules.add_rule(pyseccomp.ALLOW, "write", pyseccomp.Arg(0, pyseccomp.EQ, writes_to))
    if sets_priority:  # of this process, to this niceness and no other
        exactly = [pyseccomp.Arg(at, pyseccomp.EQ, value) for at, value in enumerate((0, 0, BACKGROUND_NICENESS))]
        rules.add_rule(pyseccomp.ALLOW, "setpriority", *exactly)
    if threads:
        rules.add_rule(pyseccomp.ALLOW, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, _CLONE_THREAD, _CLONE_THREAD))
        # Its flags lie in memory, where no filter can look. Without this call, libc uses `clone`.
        rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return SeccompFilter(file.read())


def exit_with_parent() -> None:
    """Have the kernel kill this process when its parent ends (Linux)."""
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def set_no_new_privileges() -> None:
    """Forbid this process, for good, to gain privileges by starting a program (Linux)."""
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def trim_heap() -> None:
    """Give unused memory back to the system, and let children ask for it in few, large pieces (glibc).

    A fork then copies less. With the tunable that the sandbox sets, a child's pictures lie in huge pages: a page fault
    for every 4 kB would cost a new child as much as decoding a small picture.
    """
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)
        _libc.mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        _libc.mallopt(_M_TOP_PAD, 8 << 20)
        _libc.mallopt(_M_TRIM_THRESHOLD, 64 << 20)


def lower_priority() -> None:
    """Lower this process's priority for good: for pictures that are slow to decode (Linux)."""
    if sys.platform == "linux":
        _libc.setpriority(0, 0, BACKGROUND_NICENESS)


def set_resource_limits(*, memory_bytes: int, cpu_s: int) -> None:
    """Set this process's limits for good: address space, CPU seconds, no files, no core dump.

    ``memory_bytes`` may be added to the address space noted by ``record_address_space``. A process that goes beyond
    ``cpu_s`` gets SIGXCPU, and SIGKILL a second later. Open descriptors stay usable; no file can be opened or grow.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (_recorded_bytes + memory_bytes,) * 2)


_recorded_bytes = 0


def record_address_space() -> None:
    """Record this process's address space, so that a forked child can limit itself without opening a file."""
    global _recorded_bytes  # noqa: PLW0603 - one number of the process, read by its forked children
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - a pseudo file
        _recorded_bytes = int(file.read().split()[0]) * mmap.PAGESIZE


def unavailable_reason() -> str:
    """Return why seccomp is not available on this machine; nothing if it is."""
    try:
        SeccompFilters()
    except (ImportError, OSError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    return ""
