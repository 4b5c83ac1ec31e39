"""Loads by bare sockets, so that the client costs little beside the server: closed loops for CPU, open for latency."""

import socket
import statistics
import time
from pathlib import Path

CONNECTIONS = 8


def cpu(pid):
    """CPU seconds that a process has used, all its threads together."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def request(method, path, headers, body):
    lines = [f"{method} {path} HTTP/1.1", "Host: bench", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection:
    def __init__(self, port):
        self._port = port
        self._connect()

    def _connect(self):
        self.socket = socket.create_connection(("127.0.0.1", self._port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        """Read one answer to its end; any status but 200 ends the bench."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._some()
        head, _, rest = data.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(head.decode("latin-1"))
        length = int(head.lower().split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
        got = len(rest)
        while got < length:
            got += len(self._some())
        if b"connection: close" in head.lower():  # nginx, after a thousand requests
            self.socket.close()
            self._connect()

    def _some(self):
        data = self.socket.recv(1 << 18)
        if not data:
            message = "the server hung up"
            raise SystemExit(message)
        return data


def rounds(count, each, pid, port, requests):
    """Medians over rounds of (CPU of the server, wall time) for one request, in ms; the first round warms."""
    connections = [Connection(port) for _ in range(CONNECTIONS)]
    used, wall, number = [], [], 0
    for _ in range(count + 1):
        begin, before = time.perf_counter(), cpu(pid)
        for connection in connections:
            connection.send(requests[number % len(requests)])
            number += 1
        for done in range(each):
            connection = connections[done % CONNECTIONS]
            connection.receive()
            if done < each - CONNECTIONS:
                connection.send(requests[number % len(requests)])
                number += 1
        wall.append(1000 * (time.perf_counter() - begin) / each)
        used.append(1000 * (cpu(pid) - before) / each)
    for connection in connections:
        connection.socket.close()
    return statistics.median(used[1:]), statistics.median(wall[1:])


def latencies(port, requests, *, rate, seconds):
    """Milliseconds from when a request was due to its answer, requests being due ``rate`` times a second."""
    connection, times = Connection(port), []
    begin = time.perf_counter()
    for number in range(int(rate * seconds)):
        due = begin + number / rate
        while (left := due - time.perf_counter()) > 0:
            time.sleep(min(left, 0.001))
        connection.send(requests[number % len(requests)])
        connection.receive()
        times.append(1000 * (time.perf_counter() - due))
    connection.socket.close()
    times.sort()
    return {"p50_ms": times[len(times) // 2], "p99_ms": times[int(len(times) * 0.99)], "rate": rate}
