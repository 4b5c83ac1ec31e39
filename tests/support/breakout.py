"""A helper of the sandbox whose work is to break out: it does, shut in as a decoder is, what the request names.

``python -m tests.support.breakout SOCKET UPLOAD ANSWER BELL``, started by tests in the place of the real helper.
"""

import ctypes
import mmap
import os
import resource
import socket
import sys
import threading
from pathlib import Path

from nightlight.imaging import decoder_process

libc = ctypes.CDLL(None, use_errno=True)


def _open():
    return Path("/etc/passwd").read_bytes()


def _write():
    return os.open("/tmp/nightlight-breakout", os.O_CREAT | os.O_WRONLY)


def _inherited():
    """Use a descriptor that is still there: there should be none to the parent, and no call to write with."""
    return os.write(2, b"breakout\n")


def _socket():
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM)


def _exec():
    return libc.execve(b"/bin/true", None, None)


def _ptrace():
    return libc.ptrace(16, os.getppid(), 0, 0)


def _other_memory():
    return libc.process_vm_readv(os.getppid(), None, 0, None, 0, 0)


def _kill():
    return os.kill(os.getppid(), 9)


def _executable():
    return mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)


def _gigabyte():
    return len(bytearray(1 << 30))


def _more_privileges():
    return resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def _thread():
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()


def _unfiltered():
    """Lift the filter: there is no call for it, and `prctl` is not allowed any more."""
    return libc.prctl(22, 0, 0, 0, 0)


def _spin():
    while True:
        pass


def _sleep():
    """Hang without using the processor."""
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


ATTEMPTS = {
    "open a file": _open, "make a file": _write, "write to what was inherited": _inherited, "open a socket": _socket,
    "fork": os.fork, "run a program": _exec, "trace the parent": _ptrace, "read another's memory": _other_memory,
    "kill the parent": _kill, "map executable memory": _executable, "take a gigabyte": _gigabyte,
    "raise its limits": _more_privileges, "start a thread": _thread, "lift the filter": _unfiltered,
    "use the processor for ever": _spin, "hang": _sleep, "die": lambda: ctypes.string_at(0), "nothing": lambda: None,
    "lie about the size": None, "answer with no JSON": None, "answer with a deep JSON": None, "abort": os.abort,
}  # fmt: skip
LIES = {
    "lie about the size": b'{"width": 4000000, "height": 4000000, "stages": {}}',
    "answer with no JSON": b"\xff\xfe\x00",
    "answer with a deep JSON": b"[" * decoder_process.RESPONSE_HEAD_BYTES,
}


def work(request, upload, area):
    name = upload[:].decode()
    if name in LIES:
        area[: decoder_process.RESPONSE_HEAD_BYTES] = LIES[name].ljust(decoder_process.RESPONSE_HEAD_BYTES)
        return
    if name == "ring the bell in advance":
        os.write(int(sys.argv[4]), decoder_process.READY * 50)
    if name == "ring the bell and stay":
        os.write(int(sys.argv[4]), decoder_process.READY)
        _sleep()
    if name == "leave something behind":
        area[decoder_process.RESPONSE_HEAD_BYTES : decoder_process.RESPONSE_HEAD_BYTES + 6] = b"secret"
    try:
        done = ATTEMPTS.get(name, lambda: None)()
    except MemoryError:
        decoder_process.write_response_head(area, {"outcome": "no memory"})
        return
    except OSError as error:
        decoder_process.write_response_head(area, {"outcome": f"errno {error.errno}"})
        return
    left = area[decoder_process.RESPONSE_HEAD_BYTES :].strip(b"\0")
    decoder_process.write_response_head(
        area, {"outcome": "succeeded", "result": repr(done)[:100], "left": left.decode("latin-1")}
    )


if __name__ == "__main__":
    # Everything that the attempts need is there already; what is tried is the deed, not an import.
    decoder_process.warm_up()
    decoder_process.serve(work, *map(int, sys.argv[1:5]))
