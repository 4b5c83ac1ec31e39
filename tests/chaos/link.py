"""A TCP link between one process and one service that it needs, which can be cut, silent, slow, or break in the middle."""

import threading
import time

from tests.support.proxy import Proxy

# Bytes that a link in the mode ``half`` lets through of what one connection sends, and then it is cut.
HALF_BYTES = 3_000
# Seconds by which a slow link delays every piece.
SLOW_S = 0.4


class Link(Proxy):
    """``mode`` is one of ``whole``, ``silent`` (nothing passes, nothing is refused), ``slow`` and ``half``."""

    def __init__(self, host, port):
        self.mode = "whole"
        self._passing = threading.Event()
        self._passing.set()
        super().__init__(host, port)

    def turn(self, mode):
        self.mode = mode
        if mode == "silent":
            self._passing.clear()
        else:
            self._passing.set()

    def mend(self):
        self.turn("whole")
        super().mend()

    def close(self):
        self._passing.set()
        super().close()

    def _pump(self, source, sink, pair):
        super()._pump(_Delayed(self, source, counted=source is pair[0]), sink, pair)


class _Delayed:
    """The end of a connection that is read from."""

    def __init__(self, link, end, *, counted):
        self._link, self._end, self._counted, self._bytes = link, end, counted, 0

    def recv(self, most):
        data = self._end.recv(most)
        self._link._passing.wait()
        if self._link.mode == "slow":
            time.sleep(SLOW_S)
        if self._link.mode == "half" and self._counted:
            self._bytes += len(data)
            if self._bytes > HALF_BYTES:
                return b""
        return data

    def __getattr__(self, name):
        return getattr(self._end, name)
