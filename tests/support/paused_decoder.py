"""The decoder of ``paused_worker``: at a picture of the size ``PAUSED_SIZE`` it waits for SIGUSR1, or to be killed.

It waits shut in as a decoder is, and without using the processor. Every other picture passes. Whoever waits has
unmapped the memory that ``RUNNING`` names, which is all that it can say of itself.
"""

import ctypes
import logging
import mmap
import os
import signal
import sys
import threading
import warnings

from nightlight.imaging import decoder_process

PAUSED_SIZE = (331, 223)
RUNNING = "nightlight-running"
_libc = ctypes.CDLL(None)
_file = os.memfd_create(RUNNING)
os.ftruncate(_file, mmap.PAGESIZE)
_mapped = mmap.mmap(_file, mmap.PAGESIZE)
_ADDRESS = ctypes.addressof(ctypes.c_char.from_buffer(_mapped))
_closed = threading.Lock()


def _open(*_):
    if _closed.locked():
        _closed.release()


def _work(request, upload, area):
    if (request["header"]["width"], request["header"]["height"]) == PAUSED_SIZE:
        _libc.munmap(ctypes.c_void_p(_ADDRESS), ctypes.c_size_t(mmap.PAGESIZE))
        _closed.acquire()
    decoder_process.handle_request(request, upload, area)


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Before the fork: what comes between a picture and the waiting for it is not lost.
    _closed.acquire()
    signal.signal(signal.SIGUSR1, _open)
    warnings.simplefilter("ignore")
    logging.disable()
    decoder_process.warm_up()
    decoder_process.serve(_work, *(int(argument) for argument in sys.argv[1:5]))


if __name__ == "__main__":
    main()
