"""What decisions and pictures cost: CPU a request of the service, beside the wall time, medians of rounds.

python bench/delivery.py [--profiles N] [--rounds N] [--database URL] [--json FILE]

One service process, one client; the catalogue is SQLite unless a PostgreSQL is named. Loads are bounded.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import boto3
import httpx
from botocore.client import Config
from rich.console import Console
from rich.table import Table
from sqlalchemy import insert

sys.path.insert(0, str(Path(__file__).parents[1]))

from nightlight.catalogue import migrate
from nightlight.catalogue.engine import Catalogue
from nightlight.catalogue.tables import images, profiles, renditions
from nightlight.cli import keys
from nightlight.cli.embedded import free_port
from nightlight.clock import system_clock
from nightlight.delivery.names import Names
from nightlight.delivery.presign import Presigner
from nightlight.delivery.relations import prove, proves
from nightlight.delivery.tokens import UrlSigner
from nightlight.keyring import KeyRing

ROOT = Path(__file__).parents[1]
TIERS = {"tiny": (96, 5), "low": (160, 16), "medium": (320, None), "full": (1024, None)}
BATCH = 100


def _fill(catalogue, names, count):
    now = system_clock()
    with catalogue.transaction() as tx:
        for begin in range(0, count, 1000):
            ids = range(begin, min(begin + 1000, count))
            tx.connection.execute(insert(profiles), [
                {"profile_id": f"p-{n}", "state": "live", "band": "age_16_17", "assurance": "verified", "region": "eu",
                 "choice": "connections", "hold": "clear", "asserted_at": now, "generation": 0, "uploads": 1,
                 "current_image_id": f"{n:032x}", "created_at": now} for n in ids])  # fmt: skip
            tx.connection.execute(insert(images), [
                {"image_id": f"{n:032x}", "profile_id": f"p-{n}", "sequence": 1, "state": "ready", "original_key": f"o/{n}",
                 "original_bytes": 1, "format": "jpeg", "width": 1, "height": 1, "band": "age_16_17", "released": False,
                 "created_at": now, "ready_at": now, "blurhash": "L" * 36} for n in ids])  # fmt: skip
            tx.connection.execute(insert(renditions), [
                {"name": names.rendition(f"{n:032x}", tier, 0, "r"), "image_id": f"{n:032x}", "tier": tier, "generation": 0,
                 "recipe": "r", "format": "webp", "bytes": 6000, "width": edge, "height": edge, "sha256": "0" * 64,
                 "face_px": face, "variant": 0, "created_at": now}
                for n in ids for tier, (edge, face) in TIERS.items()])  # fmt: skip


def _cpu(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rounds(rounds, each, pid, call):
    """Medians over rounds of (CPU of the service, wall time) for one call, in ms."""
    cpu, wall = [], []
    for _ in range(rounds):
        begin, used = time.perf_counter(), _cpu(pid)
        for number in range(each):
            call(number)
        wall.append(1000 * (time.perf_counter() - begin) / each)
        cpu.append(1000 * (_cpu(pid) - used) / each)
    return statistics.median(cpu), statistics.median(wall)


def _micro(count, call):
    begin = time.process_time()
    for number in range(count):
        call(number)
    return count / (time.process_time() - begin)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profiles", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--database", help="SQLAlchemy URL of an empty PostgreSQL database")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    console, figures = Console(), {}
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        keys.init(folder)
        port = free_port()
        url = asked.database or f"sqlite:///{folder}/catalogue.sqlite3"
        environment = {
            **os.environ, **keys.environment(folder), "NIGHTLIGHT_DATA_DIR": str(folder), "NIGHTLIGHT_CATALOGUE_URL": url,
            "NIGHTLIGHT_SERVICE_PORT": str(port), "NIGHTLIGHT_LOG_LEVEL": "error",
            "NIGHTLIGHT_POLICY_DIR": str(ROOT / "policies"), "NIGHTLIGHT_QUOTAS_PROFILES_PER_HOUR": "1000000",
        }  # fmt: skip
        catalogue = Catalogue(url)
        migrate.upgrade(catalogue.engine)
        names = Names(base64.b64decode(environment["NIGHTLIGHT_DELIVERY_NAME_KEY"]))
        _fill(catalogue, names, asked.profiles)
        service = subprocess.Popen([sys.executable, "-m", "service"], cwd=ROOT, env=environment)
        try:
            base = f"http://127.0.0.1:{port}"
            http = httpx.Client(base_url=base, timeout=20)
            _wait(http)
            figures = _measure(console, asked, http, service.pid, folder, names)
        finally:
            service.terminate()
            service.wait(20)
            catalogue.close()
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")


def _wait(http):
    for _ in range(300):
        try:
            if http.get("/healthz").status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    message = "the service did not start"
    raise SystemExit(message)


def _measure(console, asked, http, pid, folder, names):
    token = keys.token(folder, scopes=["decide"], subject="bench", hours=1)
    ring = keys.relation_keys(folder)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    now = int(time.time())

    def body(number, relation):
        ids = [f"p-{(number * BATCH + one) % asked.profiles}" for one in range(BATCH)]
        items = [{"profile_id": one, "relation": relation} for one in ids]
        if relation != "stranger":
            items = [
                {**one, "proof": prove(ring, "v", one["profile_id"], relation, now=now, life_s=3600)} for one in items
            ]
        return json.dumps({"viewer": "peer", "context": "list", "viewer_id": "v", "items": items}).encode()

    signing = KeyRing.parse(keys.environment(folder)["NIGHTLIGHT_DELIVERY_SIGNING_KEYS"], "bench")
    signer = UrlSigner(signing, "http://127.0.0.1")
    figures = {}
    table = Table(title=f"one service process, {asked.profiles} profiles")
    for column in ("call", "CPU ms", "wall ms", "a second and core"):
        table.add_column(column, justify="right")
    for relation in ("stranger", "connection"):
        bodies = [body(number, relation) for number in range(40)]
        cpu, wall = _rounds(
            asked.rounds,
            40,
            pid,
            lambda number, b=bodies: http.post("/v1/decisions", content=b[number], headers=headers),
        )
        figures[f"decisions, {relation}"] = {"cpu_ms": cpu, "wall_ms": wall, "per_s": 1000 * BATCH / cpu}
        table.add_row(
            f"{BATCH} decisions, {relation}", f"{cpu:.2f}", f"{wall:.2f}", f"{1000 * BATCH / cpu:,.0f} decisions"
        )
    path, _ = signer.url(f"/a/{names.placeholder()}.webp", now=now, life_s=3600)
    path = path.removeprefix("http://127.0.0.1")
    cpu, wall = _rounds(asked.rounds, 200, pid, lambda _: http.get(path))
    figures["picture"] = {"cpu_ms": cpu, "wall_ms": wall, "per_s": 1000 / cpu}
    table.add_row("the placeholder's bytes", f"{cpu:.2f}", f"{wall:.2f}", f"{1000 / cpu:,.0f} pictures")
    figures["urls"] = _micro(50_000, lambda n: signer.url(f"/a/{n}", now=now, life_s=300))
    table.add_row("sign a URL", "", "", f"{figures['urls']:,.0f}")
    mine = Presigner("http://127.0.0.1:9000", "/bucket", "us-east-1", "access", "secret")
    figures["presigned"] = _micro(50_000, lambda n: mine.url(f"/a/{n}", now=now, life_s=300))
    config = Config(signature_version="s3v4", s3={"addressing_style": "path"})
    theirs = boto3.client(
        "s3", endpoint_url=mine.endpoint, region_name=mine.region, aws_access_key_id="access",
        aws_secret_access_key=mine.secret_access_key, config=config,
    )  # fmt: skip
    params = [{"Bucket": "bucket", "Key": f"a/{n}"} for n in range(1000)]
    figures["boto3"] = _micro(
        1000, lambda n: theirs.generate_presigned_url("get_object", Params=params[n], ExpiresIn=300)
    )
    ratio = figures["presigned"] / figures["boto3"]
    table.add_row(
        "presign a URL (SigV4)", "", "", f"{figures['presigned']:,.0f}; {ratio:.0f} x boto3's {figures['boto3']:,.0f}"
    )
    proof = prove(ring, "v", "p-1", "connection", now=now)
    figures["proofs"] = _micro(50_000, lambda _: proves(ring, proof, "v", "p-1", "connection", now=now, leeway_s=30))
    table.add_row("check a relation proof", "", "", f"{figures['proofs']:,.0f}")
    console.print(table)
    return figures


if __name__ == "__main__":
    main()
