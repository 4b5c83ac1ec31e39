"""What a call of the Python client costs: batches of decisions a second of this process's CPU, against a stub.

The stub is another process that answers every request with the same bytes, so that nothing of the service is counted.
Beside the client, in the same run: its HTTP library alone, and httpx alone, with the same body and answer.

    python bench/client.py [--items N] [--batches N] [--rounds N] [--json]
"""

import argparse
import json
import os
import re
import signal
import socket
import statistics
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from nightlight import one_thread  # noqa: F401 - before numpy is imported

# isort: split

import httpx
import urllib3

from nightlight_client import NightlightClient

KEYS = {"r1": bytes(range(32))}
TOKEN = "t" * 300


def serve(listener, answer):
    """Answer every request; never returns."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer_all, args=(connection, answer), daemon=True).start()


def answer_all(connection, answer):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    waiting = b""
    while data := connection.recv(1 << 20):
        waiting += data
        while b"\r\n\r\n" in waiting:
            head, _, body = waiting.partition(b"\r\n\r\n")
            length = int(re.search(rb"content-length: (\d+)", head, re.IGNORECASE)[1])
            if len(body) < length:
                break
            waiting = body[length:]
            connection.sendall(answer)


def answer_for(items):
    rows = [
        {
            "profile_id": f"p-{number}", "url": "https://pictures.example/a/" + "q" * 32 + ".webp?e=1800003068&k=d1&s=" + "s" * 22,
            "expires_at": 1_800_003_068, "blurhash": "L" * 36, "capture": "forbid",
        }
        for number in range(items)
    ]  # fmt: skip
    body = json.dumps({"items": rows}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def rate(call, batches):
    """Return batches a second of this process's CPU."""
    began = time.process_time()
    for _ in range(batches):
        call()
    return batches / (time.process_time() - began)


def main():
    """Print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--items", type=int, default=10)
    parser.add_argument("--batches", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", 0))
    child = os.fork()
    if child == 0:
        serve(listener, answer_for(args.items))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    strangers = [(f"p-{number}", "stranger") for number in range(args.items)]
    friends = [(f"p-{number}", "connection") for number in range(args.items)]
    question = {"viewer": "peer", "context": "list", "viewer_id": "v"}
    body = {**question, "items": [{"profile_id": name, "relation": word} for name, word in strangers]}
    data = json.dumps(body, separators=(",", ":")).encode()
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    pool, plain = urllib3.connection_from_url(url), httpx.Client(base_url=url)
    with NightlightClient(url, token=TOKEN, relation_keys=KEYS, viewer_id="v") as client:
        calls = {
            "client, strangers": lambda: client.decide("peer", "list", strangers),
            "client, proofs": lambda: client.decide("peer", "list", friends),
            "urllib3 alone": lambda: json.loads(pool.urlopen("POST", "/v1/decisions", body=data, headers=headers).data),
            "httpx alone": lambda: plain.post("/v1/decisions", content=data, headers=headers).json(),
        }
        try:
            rounds = [{name: rate(call, args.batches) for name, call in calls.items()} for _ in range(args.rounds)]
        finally:
            os.kill(child, signal.SIGTERM)
    medians = {name: statistics.median(each[name] for each in rounds) for name in calls}
    if args.json:
        print(json.dumps({"items": args.items, "batches_per_cpu_second": medians}))
        return
    print(f"batches of {args.items} decisions a second of the client's CPU, medians of {args.rounds} rounds:")
    for name, median in medians.items():
        print(f"  {name:18} {median:7,.0f}   {median / medians['urllib3 alone']:.2f} times urllib3 alone")


if __name__ == "__main__":
    main()
