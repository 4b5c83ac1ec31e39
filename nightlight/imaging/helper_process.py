"""What the sandbox asks of the operating system about its helper process: its environment, its CPU time, its pipes."""

from __future__ import annotations

import os
import select
from pathlib import Path

# Large memory pages, for which a fresh child pays fewer page faults; and one heap, so that the limit on address
# space is a limit on memory.
_MALLOC = "glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1"


def helper_environment() -> dict[str, str]:
    """Return the helper's environment. It holds no setting, and so no secret.

    ``PATH`` is for ldconfig, by which libseccomp is found.
    """
    path = f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"
    return {"PATH": path, "LANG": "C.UTF-8", "GLIBC_TUNABLES": _MALLOC, "OPENBLAS_NUM_THREADS": "1"}


def children_cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process's children have used so far; 0 where they cannot be read."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        stats = [Path(f"/proc/{child}/stat").read_text(encoding="ascii").rsplit(")", 1)[1] for child in children]
    except (OSError, IndexError):
        return 0.0
    return sum(int(ticks) for stat in stats for ticks in stat.split()[11:13]) / os.sysconf("SC_CLK_TCK")


def wait_readable(timeout_s: float, *descriptors: int) -> list[int]:
    """Return the descriptors that can be read from, after waiting for at most ``timeout_s``."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll(timeout_s * 1000)]
