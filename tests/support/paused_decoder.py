"""The decoder of ``paused_worker``: at a picture of the size ``PAUSED_SIZE`` it waits for SIGUSR1, or to be killed.

It waits shut in as a decoder is, and without using the processor. Every other picture passes.
"""

import logging
import signal
import sys
import threading
import warnings

from nightlight.imaging import decoder_process

PAUSED_SIZE = (331, 223)
_closed = threading.Lock()


def _open(*_):
    if _closed.locked():
        _closed.release()


def _work(request, upload, area):
    if (request["header"]["width"], request["header"]["height"]) == PAUSED_SIZE:
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
