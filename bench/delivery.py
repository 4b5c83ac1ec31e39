"""What decisions and pictures cost: CPU time of the server for each, beside the wall time, medians of rounds.

python bench/delivery.py [--profiles N] [--rounds N] [--json FILE]     one service process over SQLite, one client
python bench/delivery.py --flat                                        from 10^3 to 10^6 profiles in PostgreSQL
python bench/delivery.py --edge                                        nginx with our checks beside nginx with a file

The last two want the services of infra/dev/services.sh: `infra/dev/test.sh python bench/delivery.py --flat`. All loads
are bounded and end by themselves.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from nightlight import one_thread  # noqa: F401 - before numpy is imported

# isort: split

import boto3
from botocore.client import Config
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.load import Connection, latencies, request, rounds
from bench.profiles import PICTURE, fill, name_of
from nightlight.catalogue import migrate
from nightlight.catalogue.engine import Catalogue
from nightlight.cli import key_commands
from nightlight.cli.embedded import free_port
from nightlight.delivery.presigned_urls import Presigner
from nightlight.policy.bundle_writer import build_bundle
from nightlight.policy.compile import compile_folder
from nightlight.policy.signing import SigningKey
from nightlight_client import NightlightClient
from nightlight_client.local_client import LocalClient, Terms
from nightlight_core.decisions.quotas import InProcess, Limits
from nightlight_core.decisions.relation_proofs import issue_proof, verify_proof
from nightlight_core.decisions.url_signing import HmacUrlSigner
from nightlight_core.keyring import KeyRing

ROOT = Path(__file__).parents[1]
BATCH = 100
HOT = 5_000


@contextmanager
def serving(folder, url, **settings):
    """One service process over a catalogue; (process, port)."""
    port = free_port()
    environment = {
        **os.environ, **key_commands.environment(folder), "NIGHTLIGHT_DATA_DIR": str(folder), "NIGHTLIGHT_CATALOGUE_URL": url,
        "NIGHTLIGHT_SERVICE_PORT": str(port), "NIGHTLIGHT_LOG_LEVEL": "error", "NIGHTLIGHT_POLICY_DIR": str(ROOT / "policies"),
        "NIGHTLIGHT_QUOTAS_PROFILES_PER_HOUR": "1000000", "NIGHTLIGHT_QUOTAS_NETWORK_PER_HOUR": "1000000000",
        "NIGHTLIGHT_DELIVERY_BASE_URL": f"http://127.0.0.1:{port}", **settings,
    }  # fmt: skip
    process = subprocess.Popen([sys.executable, "-m", "service"], cwd=ROOT, env=environment)
    try:
        wait_for(port)
        yield process, port
    finally:
        process.terminate()
        process.wait(20)


def wait_for(port):
    for _ in range(300):
        try:
            Connection(port).socket.close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    message = "the server did not start"
    raise SystemExit(message)


def bodies(folder, ids, relation, many=40):
    """Requests for decisions about profiles drawn from ``ids``; what the policy allows a viewer is not passed."""
    ring, now, drawn = key_commands.relation_keys(folder), int(time.time()), random.Random(7)
    payloads = []
    for number in range(many):
        items = [{"profile_id": f"p-{drawn.randrange(ids)}", "relation": relation} for _ in range(BATCH)]
        viewer = f"v-{number}"
        if relation != "stranger":
            for item in items:
                item["proof"] = issue_proof(ring, viewer, item["profile_id"], relation, now=now, life_s=3600)
        payloads.append(
            json.dumps({"viewer": "adult", "context": "list", "viewer_id": viewer, "items": items}).encode()
        )
    return payloads


def posts(folder, payloads):
    token = key_commands.token(folder, scopes=["decide"], subject="bench", hours=1)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return [request("POST", "/v1/decisions", headers, body) for body in payloads]


def micro(count, call):
    begin = time.process_time()
    for number in range(count):
        call(number)
    return count / (time.process_time() - begin)


def whole(asked, console):
    figures = {}
    table = Table(title=f"one service process, {asked.profiles:,} profiles in SQLite, {HOT:,} asked for")
    for column in ("call", "CPU ms", "wall ms", "a second and core"):
        table.add_column(column, justify="right")
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        key_commands.init(folder)
        url = f"sqlite:///{folder}/catalogue.sqlite3"
        catalogue = Catalogue(url)
        migrate.upgrade(catalogue.engine)
        fill(catalogue, asked.profiles)
        with serving(folder, url) as (process, port):
            for relation in ("stranger", "connection"):
                requests = posts(folder, bodies(folder, HOT, relation))
                used, wall = rounds(asked.rounds, 400, process.pid, port, requests)
                spread = latencies(port, requests, rate=500 / used, seconds=5)
                figures[f"decisions, {relation}"] = {
                    "cpu_ms": used,
                    "wall_ms": wall,
                    "per_s": 1000 * BATCH / used,
                    **spread,
                }
                rate = f"{1000 * BATCH / used:,.0f} decisions; p50 {spread['p50_ms']:.1f}, p99 {spread['p99_ms']:.1f} ms at half load"
                table.add_row(f"{BATCH} decisions, {relation}", f"{used:.3f}", f"{wall:.3f}", rate)
            path = picture(folder)
            used, wall = rounds(asked.rounds, 4000, process.pid, port, [request("GET", path, {}, b"")])
            figures["picture"] = {"cpu_ms": used, "wall_ms": wall, "per_s": 1000 / used}
            table.add_row(
                f"a picture of {len(PICTURE):,} bytes", f"{used:.3f}", f"{wall:.3f}", f"{1000 / used:,.0f} pictures"
            )
            in_process(folder, port, table, figures)
        catalogue.close()
        primitives(folder, table, figures)
    console.print(table)
    return figures


def picture(folder):
    """Put one picture into the store; return the path that it is fetched by."""
    name = name_of(0, "tiny")
    put = folder / "objects/renditions/a"
    import hashlib
    from io import BytesIO

    from nightlight.store.local import LocalStore

    store = LocalStore(put.parents[0])
    digest = hashlib.sha256(PICTURE).hexdigest()
    store.put(f"a/{name}.webp", BytesIO(PICTURE), sha256=digest, content_type="image/webp")
    signing = KeyRing.parse(key_commands.environment(folder)["NIGHTLIGHT_DELIVERY_SIGNING_KEYS"], "bench")
    url, _ = HmacUrlSigner(signing, "").url(f"/a/{name}.webp", now=int(time.time()), life_s=3600)
    return url


def in_process(folder, port, table, figures):
    """The same decisions inside this process."""
    token = key_commands.token(folder, scopes=["local", "decide", "policy"], subject="bench", hours=1)
    publisher = SigningKey.read(folder / "keys/publisher.private.jwk.json")
    with NightlightClient(f"http://127.0.0.1:{port}", token=token) as client:
        client.activate(build_bundle(compile_folder(ROOT / "policies"), 1, publisher))
        time.sleep(1.5)
        quotas = InProcess(Limits(10**9, 10**12))
        terms = Terms(relation_keys=key_commands.relation_keys(folder), vouches=True, quotas=quotas)
        with LocalClient(client, publisher.public_keys, terms) as local:
            if local.problem is not None:
                raise SystemExit(local.problem)
            for relation, proved in (("stranger", False), ("connection", False), ("connection", True)):
                asked = [json.loads(body) for body in bodies(folder, HOT, relation)]
                items = [
                    [(item["profile_id"], relation, item["proof"] if proved else None) for item in body["items"]]
                    for body in asked
                ]

                def decide(number, items=items):
                    local.decide("adult", "list", items[number % 40], viewer_id=f"v-{number % 40}")

                micro(200, decide)
                per_second = statistics.median(micro(500, decide) for _ in range(5)) * BATCH
                name = f"in process, {relation}{', proved' if proved else ''}"
                figures[name] = per_second
                table.add_row(name, f"{1000 * BATCH / per_second:.3f}", "", f"{per_second:,.0f} decisions")


def primitives(folder, table, figures):
    now = int(time.time())
    signing = KeyRing.parse(key_commands.environment(folder)["NIGHTLIGHT_DELIVERY_SIGNING_KEYS"], "bench")
    signer = HmacUrlSigner(signing, "http://127.0.0.1")
    figures["urls"] = statistics.median(
        micro(50_000, lambda n: signer.url(f"/a/{n}", now=now, life_s=300)) for _ in range(5)
    )
    table.add_row("sign a URL", "", "", f"{figures['urls']:,.0f}")
    presigner = Presigner("http://127.0.0.1:9000", "/bucket", "us-east-1", "access", "secret")
    figures["presigned"] = micro(50_000, lambda n: presigner.url(f"/a/{n}", now=now, life_s=300))
    config = Config(signature_version="s3v4", s3={"addressing_style": "path"})
    theirs = boto3.client(
        "s3", endpoint_url=presigner.endpoint, region_name=presigner.region, aws_access_key_id="access",
        aws_secret_access_key=presigner.secret_access_key, config=config,
    )  # fmt: skip
    params = [{"Bucket": "bucket", "Key": f"a/{n}"} for n in range(1000)]
    figures["boto3"] = micro(
        1000, lambda n: theirs.generate_presigned_url("get_object", Params=params[n], ExpiresIn=300)
    )
    ratio = figures["presigned"] / figures["boto3"]
    table.add_row(
        "presign a URL (SigV4)", "", "", f"{figures['presigned']:,.0f}; {ratio:.0f} x boto3's {figures['boto3']:,.0f}"
    )
    ring = key_commands.relation_keys(folder)
    proof = issue_proof(ring, "v", "p-1", "connection", now=now)
    figures["proofs"] = micro(
        50_000, lambda _: verify_proof(ring, proof, "v", "p-1", "connection", now=now, leeway_s=30)
    )
    table.add_row("check a relation proof", "", "", f"{figures['proofs']:,.0f}")


def resident(pid):
    """Megabytes that a process holds in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def flat(asked, console):
    """From a thousand profiles to a million in PostgreSQL: asked for at random, and with the same few over and over."""
    from tests.support.databases import postgres_database

    figures = {}
    table = Table(title="CPU ms of the service for 100 decisions, PostgreSQL")
    for column in (
        "profiles",
        "each looked up",
        f"{HOT:,} over and over",
        "any, 50,000 kept",
        "MB for each 1,000 kept",
    ):
        table.add_column(column, justify="right")
    for count in (1_000, 10_000, 100_000, 1_000_000):
        with postgres_database() as url, tempfile.TemporaryDirectory() as text:
            folder = Path(text)
            key_commands.init(folder)
            catalogue = Catalogue(url)
            migrate.upgrade(catalogue.engine)
            fill(catalogue, count)
            catalogue.close()
            by_name = {}
            for name, ids, kept in (("cold", count, "0"), ("hot", min(HOT, count), "50000"), ("any", count, "50000")):
                with serving(folder, url, NIGHTLIGHT_DELIVERY_VIEWS=kept) as (process, port):
                    before = resident(process.pid)
                    # No request is made twice, but where the same few are asked for.
                    requests = posts(folder, bodies(folder, ids, "stranger", many=400 * (asked.rounds + 1)))
                    by_name[name], _ = rounds(asked.rounds, 400, process.pid, port, requests)
                    by_name["mb"] = 1000 * (resident(process.pid) - before) / min(count, 50_000)
            figures[count] = by_name
            table.add_row(f"{count:,}", *(f"{by_name[name]:.2f}" for name in ("cold", "hot", "any", "mb")))
    console.print(table)
    for name in ("cold", "hot", "any"):
        console.print(f"{name}: {figures[1_000_000][name] / figures[1_000][name]:.2f} x from 10^3 to 10^6")
    return figures


def edge(asked, console):
    """CPU of nginx for a picture: behind our check and cache, and plainly from a file."""
    import hashlib
    from io import BytesIO

    from nightlight.store.s3 import S3Access, S3Store
    from tests.support.buckets import bucket_pair
    from tests.support.edge import Edge, Plain
    from tests.support.services import S3_WORKER, identity

    ring = f"e1:{base64.b64encode(b'1' * 32).decode()}"
    with tempfile.TemporaryDirectory() as text, bucket_pair() as buckets:
        access, secret = identity(S3_WORKER)
        store = S3Store(buckets.renditions, S3Access(buckets.endpoint, "us-east-1", access, secret, 2, 10))
        key = f"a/{name_of(0, 'tiny')}.webp"
        digest = hashlib.sha256(PICTURE).hexdigest()
        store.put(key, BytesIO(PICTURE), sha256=digest, content_type="image/webp")
        figures = {}
        with Edge(Path(text) / "edge", buckets, ring) as ours, Plain(Path(text) / "plain", key, PICTURE) as plain:
            url, _ = HmacUrlSigner(KeyRing.parse(ring, "bench"), "").url(f"/{key}", now=int(time.time()), life_s=3600)
            for _ in range(asked.rounds):
                for name, server, path in (("ours", ours, url), ("plain", plain, f"/{key}")):
                    requests = [request("GET", path, {}, b"")]
                    used, _ = rounds(1, 10_000, server.worker, int(server.url.rsplit(":", 1)[1]), requests)
                    figures.setdefault(name, []).append(1000 * used)
    ours, plain = (statistics.median(figures[name]) for name in ("ours", "plain"))
    console.print(
        f"nginx, {len(PICTURE):,} bytes: checked and cached {ours:.1f} us, a plain file {plain:.1f} us, ratio {ours / plain:.2f}"
    )
    return {"ours_us": ours, "plain_us": plain, "ratio": ours / plain}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profiles", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--flat", action="store_true")
    parser.add_argument("--edge", action="store_true")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    measure = flat if asked.flat else edge if asked.edge else whole
    figures = measure(asked, Console())
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
