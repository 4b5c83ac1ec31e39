"""How fast a bucket's keys are queued, and whether memory stays flat: from 10,000 keys to a million.

A listing of S3 is served by a fixture in a process of its own (ListObjectsV2, a thousand keys a page); the walk, its
transactions and the catalogue are the real ones. CPU is the walk's own process, the database's is beside it.

    python bench/backfill.py [--keys 10000,100000,1000000] [--database URL]
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import subprocess
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

sys.path.insert(0, str(Path(__file__).parents[1]))

PAGE = 1000
FORM = "users/{profile}/face.jpg"


class Listing(BaseHTTPRequestHandler):
    """A bucket of ``total`` keys that only lists."""

    total = 0
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        query = parse_qs(urlsplit(self.path).query)
        after = query.get("start-after", [""])[0]
        first = int(after.split("/")[1][2:]) + 1 if after else 0
        last = min(first + PAGE, self.total)
        items = "".join(
            f"<Contents><Key>{escape(f'users/u-{n:08}/face.jpg')}</Key><LastModified>2026-11-01T00:00:00.000Z</LastModified>"
            f'<ETag>"{n:032x}"</ETag><Size>50000</Size><StorageClass>STANDARD</StorageClass></Contents>'
            for n in range(first, last)
        )
        more = "true" if last < self.total else "false"
        body = (
            '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>avatars</Name>'
            f"<IsTruncated>{more}</IsTruncated><KeyCount>{last - first}</KeyCount>{items}</ListBucketResult>"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve(total: int) -> None:
    Listing.total = total
    server = ThreadingHTTPServer(("127.0.0.1", 0), Listing)
    print(server.server_port, flush=True)
    server.serve_forever()


@contextlib.contextmanager
def listing(total: int):
    with subprocess.Popen(
        [sys.executable, __file__, "--serve", str(total)], stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            yield f"http://127.0.0.1:{int(child.stdout.readline())}"
        finally:
            child.terminate()


def walk(total: int, database: str) -> None:
    """One walk, in a process of its own, so that its largest size is its own."""
    from nightlight.catalogue import migrate
    from nightlight.catalogue.engine import Catalogue
    from nightlight.flows.imports.backfill import Backfill
    from nightlight.store.key_template import KeyTemplate
    from nightlight.store.s3 import S3Access
    from nightlight.store.source_buckets import SourceBuckets
    from nightlight_core.clock import system_clock

    catalogue = Catalogue(database)
    migrate.upgrade(catalogue.engine)
    flow, form = Backfill(catalogue, system_clock), KeyTemplate(FORM)
    with listing(total) as url:
        foreign = SourceBuckets(S3Access(url, "us-east-1", "x", "x", 2, 30))
        begun = flow.begin(f"s3://avatars/{time.time()}", form, actor="bench")
        began, cpu = time.monotonic(), time.process_time()
        queued = sum(
            heard.queued
            for heard in flow.walk(begun.import_id, "avatars", form, lambda at: foreign.pages("avatars", "users/", at))
        )
        wall, cpu = time.monotonic() - began, time.process_time() - cpu
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{queued:>10,} {wall:8.1f} {queued / wall:12,.0f} {queued / cpu:16,.0f} {size:10.0f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", default="10000,100000,1000000")
    parser.add_argument(
        "--database", help="a database of its own for each walk is made on this PostgreSQL server; SQLite otherwise"
    )
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--walk", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        serve(options.serve)
        return
    if options.walk is not None:
        walk(options.walk, options.database)
        return
    print(f"{'keys':>10} {'seconds':>8} {'keys/s':>12} {'keys/s of CPU':>16} {'MB at most':>10}")
    for total in (int(count) for count in options.keys.split(",")):
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            url = f"sqlite:///{folder}/c.sqlite3"
            if options.database:
                from tests.support.databases import postgres_database

                url = stack.enter_context(postgres_database())
            subprocess.run([sys.executable, __file__, "--walk", str(total), "--database", url], check=True)


if __name__ == "__main__":
    main()
