"""The edge functions say of every URL what the service says, run by node as their runtimes would."""

import base64
import json
import shutil
import subprocess
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from nightlight.delivery.tokens import UrlSigner
from nightlight.keyring import KeyRing
from tests.support.services import missing_tool

pytestmark = pytest.mark.integration

EDGE = Path(__file__).parents[2] / "infra/edge"
RING = f"e1:{base64.b64encode(bytes(range(200, 240))).decode()},e0:{base64.b64encode(b'0' * 32).decode()}"
KEYS = KeyRing.parse(RING, "test")
NOW = 1_800_000_000
PATH = "/a/" + "b2" * 16 + ".webp"


def urls():
    """(URL, whether the service takes it) of good, forged, expired and malformed ones."""
    signer = UrlSigner(KEYS, "https://edge.example")
    old = UrlSigner(KeyRing.parse(RING.split(",")[1], "test"), "https://edge.example")
    made = [
        signer.url(f"/a/{letter * 32}.{ending}", now=NOW, life_s=300)[0]
        for letter in "abz7"
        for ending in ("webp", "jpg", "avif")
    ]
    good, _ = signer.url(PATH, now=NOW, life_s=300)
    late, _ = signer.url(PATH, now=NOW - 1000, life_s=300)
    bare, query = good.split("?")
    fields = dict(parse_qsl(query))

    def with_(**change):
        return bare + "?" + "&".join(f"{name}={value}" for name, value in {**fields, **change}.items())

    made += [good, old.url(PATH, now=NOW, life_s=300)[0], late, bare, good.replace("b2b2", "b2b3"), good + "&k=e1"]
    made += [with_(e=value) for value in ("", "0", str(int(fields["e"]) + 1), "9" * 10, "9" * 11, "1e9", "-1")]
    made += [with_(k=value) for value in ("", "e0", "zz", "__proto__", "constructor", "toString")]
    made += [
        with_(s=value)
        for value in ("", "A" * 22, "A" * 21, fields["s"][:-1], fields["s"] + "A", fields["s"].swapcase())
    ]
    made += [good.replace("/a/", "/b/"), good.replace(".webp", ".png"), good.replace(".webp", ".webp/x")]
    found = []
    for url in made:
        parts = urlsplit(url)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        said = dict(pairs)
        taken = len(said) == len(pairs) == 3 and signer.verify(parts.path, said["e"], said["k"], said["s"], now=NOW)
        found.append(
            (url, bool(taken) and parts.path.startswith("/a/") and parts.path.endswith((".webp", ".jpg", ".avif")))
        )
    return found


def run(folder, script, vectors):
    node = shutil.which("node")
    if node is None:
        missing_tool("node")
    path = folder / "run.mjs"
    path.write_text(script)
    done = subprocess.run(
        [node, path], input=json.dumps(vectors), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


READ = f"import fs from 'fs'; const urls = JSON.parse(fs.readFileSync(0, 'utf8')); Date.now = () => {NOW * 1000};\n"


def test_there_are_good_and_bad_ones():
    said = [taken for _, taken in urls()]
    assert said.count(True) == 14
    assert said.count(False) > 20


def test_cloudfront(tmp_path):
    source = (EDGE / "cloudfront/verify.js").read_text()
    keys = json.dumps(dict(part.split(":") for part in RING.split(",")))
    source = source.replace("{/* 'd1': 'base64 of the key' */}", keys)
    assert keys in source
    script = (
        source
        + READ
        + """
    console.log(JSON.stringify(urls.map((text) => {
        const url = new URL(text), querystring = {};
        for (const [name, value] of url.searchParams) {
            querystring[name] = querystring[name] ? {...querystring[name], multiValue: [{value}]} : {value};
        }
        const answer = handler({request: {uri: url.pathname, querystring}});
        if (answer.statusCode) return false;
        if (Object.keys(answer.querystring).length) throw new Error('the query is kept');
        return true;
    })));"""
    )
    assert run(tmp_path, script, [url for url, _ in urls()]) == [taken for _, taken in urls()]


def test_cloudflare(tmp_path):
    shutil.copy(EDGE / "cloudflare/worker.js", tmp_path / "worker.mjs")
    script = (
        "import worker, {left, ring} from './worker.mjs';\n"
        + READ
        + f"""
    const keys = ring({json.dumps(RING)});
    const found = [];
    for (const text of urls) found.push(await left(new URL(text), keys, {NOW}) > 0);
    // The handler: a refusal, a picture from the origin under its own life, then the same from the cache.
    const kept = new Map();
    globalThis.caches = {{default: {{
        match: async (request) => kept.get(request.url)?.clone(),
        put: async (request, response) => kept.set(request.url, response),
    }}}};
    let asked = 0;
    globalThis.fetch = async () => {{ asked++; return new Response('bytes', {{headers: {{'Cache-Control': 'public, max-age=9'}}}}); }};
    const env = {{SIGNING_KEYS: {json.dumps(RING)}, ORIGIN: 'https://origin.example'}};
    const context = {{waitUntil: (work) => work}};
    const got = async (url, method) => {{
        const answer = await worker.fetch(new Request(url, {{method}}), env, context);
        return [answer.status, answer.headers.get('Cache-Control')];
    }};
    const good = urls[0];
    const handled = [await got(good, 'GET'), await got(good, 'GET'), await got(good, 'POST'), asked];
    console.log(JSON.stringify({{found, handled}}));"""
    )
    told = run(tmp_path, script, [url for url, _ in urls()])
    assert told["found"] == [taken for _, taken in urls()]
    first, second, posted, asked = told["handled"]
    assert first == second
    assert (first[0], posted[0], asked) == (200, 404, 1)
    assert first[1].startswith("public, max-age=")
    assert first[1].endswith(", immutable")
