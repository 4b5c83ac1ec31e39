"""What a process that decodes may do: next to nothing. Resource limits, no new privileges, a seccomp filter.

The filter's default is to kill. The helper has one under which it may fork and wait; the child that
meets a picture has another, under which it may only compute and ask for memory (and, for HEIC, start a thread). A
filter is never lifted: installing the second one leaves both in force.

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

# Memory, time and the end of the process: all that a decoder needs. `mmap` and `mprotect` are added
# below with a condition on their argument.
_COMPUTE = (
    "brk", "clock_getres", "clock_gettime", "exit", "exit_group", "futex", "getpid", "getrandom", "gettid",
    "gettimeofday", "madvise", "mremap", "munmap", "rt_sigprocmask", "rt_sigreturn", "sched_yield", "time",
)  # fmt: skip
# What the helper does between pictures: wait for the next one, fork, wait for the child, answer. `close`,
# `prctl`, `prlimit64` and those about descriptors are for the child's first moments, before its own filter.
_FORK = (
    "clone", "clone3", "close", "dup", "fcntl", "fork", "fstat", "newfstatat", "poll", "ppoll", "prctl",
    "prlimit64", "read", "recvfrom", "rseq", "rt_sigaction", "sendto", "set_robust_list", "setrlimit",
    "vfork", "wait4", "write",
)  # fmt: skip

# HEIC's decoder works in a thread of its own, whatever it is told. A thread is no process: `fork` stays shut.
_THREAD = ("rseq", "set_robust_list")
_CLONE_THREAD = 0x00010000

# The niceness of a decoder that takes long: it gets a quarter of a core that others want.
BACKGROUND = 5
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


class Filters:
    """The filters, made once. Building one takes milliseconds; closing one, microseconds."""

    def __init__(self, bell: int = 0) -> None:
        """Make them; ``bell`` is the one descriptor that a decoder may write to, to say that it is done.

        Raises OSError or ImportError with the reason where seccomp is not to be had.
        """
        if sys.platform != "linux":
            message = f"seccomp is a part of Linux, and this is {sys.platform}"
            raise OSError(message)
        if _libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) < 0:
            message = "this kernel has no seccomp"
            raise OSError(message)
        self.helper = _program(_COMPUTE + _FORK, refused=("open", "openat"), stands_back=True)
        self.decoder = _program(_COMPUTE, writes_to=bell)
        self.threaded = _program((*_COMPUTE, *_THREAD), writes_to=bell, threads=True)


class Filter:
    """A filter, ready to be installed: a child does that with one call."""

    def __init__(self, program: bytes) -> None:
        """Keep ``program``, the kernel's instructions of eight bytes each."""
        self._code = ctypes.create_string_buffer(program, len(program))
        self._described = _Program(len(program) // _INSTRUCTION_BYTES, ctypes.addressof(self._code))
        self._reference = ctypes.byref(self._described)

    def close(self) -> None:
        """Install the filter on this process for good; raise OSError if the kernel refuses."""
        if _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, self._reference, 0, 0):
            message = f"the kernel refused the filter: errno {ctypes.get_errno()}"
            raise OSError(message)


def _program(
    allowed: tuple[str, ...],
    *,
    refused: tuple[str, ...] = (),
    writes_to: int | None = None,
    threads: bool = False,
    stands_back: bool = False,
) -> Filter:
    import pyseccomp

    made = pyseccomp.SyscallFilter(defaction=pyseccomp.KILL_PROCESS)
    for name in allowed:
        made.add_rule(pyseccomp.ALLOW, name)
    for name in ("mmap", "mprotect"):
        # Memory that is not executable: the third argument has no PROT_EXEC in it.
        made.add_rule(pyseccomp.ALLOW, name, pyseccomp.Arg(2, pyseccomp.MASKED_EQ, mmap.PROT_EXEC, 0))
    for name in refused:
        # Python 3.12 and newer look into /proc whenever they fork, and do without if they may not. A decoder's
        # own filter has no such answer: there it is death.
        made.add_rule(pyseccomp.ERRNO(errno.EACCES), name)
    if writes_to is not None:
        made.add_rule(pyseccomp.ALLOW, "write", pyseccomp.Arg(0, pyseccomp.EQ, writes_to))
    if stands_back:  # of this process, to this niceness and no other
        exactly = [pyseccomp.Arg(at, pyseccomp.EQ, value) for at, value in enumerate((0, 0, BACKGROUND))]
        made.add_rule(pyseccomp.ALLOW, "setpriority", *exactly)
    if threads:
        made.add_rule(pyseccomp.ALLOW, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, _CLONE_THREAD, _CLONE_THREAD))
        # Its flags lie in memory, where no filter can look; told that there is no such call, libc uses `clone`.
        made.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    with tempfile.TemporaryFile() as file:
        made.export_bpf(file)
        file.seek(0)
        return Filter(file.read())


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends (Linux)."""
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def no_new_privileges() -> None:
    """Give up, for good, all ways of gaining privileges by starting a program (Linux)."""
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def settle_memory() -> None:
    """Give back what is not in use, and have children ask for memory in few, large pieces (glibc).

    A fork then copies less; and, with the tunable that the cage sets, a child's pictures lie in huge pages. A
    page fault each 4 kB would cost a fresh child as much as the decoding of a small picture.
    """
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)
        _libc.mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        _libc.mallopt(_M_TOP_PAD, 8 << 20)
        _libc.mallopt(_M_TRIM_THRESHOLD, 64 << 20)


def stand_back() -> None:
    """Give way to other processes, for good: for pictures that take long (Linux)."""
    if sys.platform == "linux":
        _libc.setpriority(0, 0, BACKGROUND)


def limit(*, memory_bytes: int, cpu_s: int) -> None:
    """Set this process's limits for good: address space, processor seconds, no files, no core.

    Who goes beyond the seconds gets SIGXCPU, by which it is known, and SIGKILL a second later. ``memory_bytes`` is what
    it may add to the address space that it has now. Existing descriptors stay usable; no file can be opened, and none
    can grow.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (_address_space() + memory_bytes,) * 2)


_now = 0


def measure_address_space() -> None:
    """Note this process's address space, so that a child can limit itself without opening a file."""
    global _now  # noqa: PLW0603 - one number of the process, read by its forked children
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - a pseudo file
        _now = int(file.read().split()[0]) * mmap.PAGESIZE


def _address_space() -> int:
    return _now


def why_not() -> str:
    """Return why decoders cannot be shut in on this machine; nothing if they can."""
    try:
        Filters()
    except (ImportError, OSError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    return ""
