"""The edge functions say of every URL what the service says, run by node as their runtimes would."""

import base64
import json
import shutil
import subprocess
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from nightlight_core.decisions.url_signing import HmacUrlSigner
from nightlight_core.keyring import KeyRing
from tests.support.services import missing_tool
from tests.support.waiting import HANG_S

pytestmark = pytest.mark.integration

EDGE = Path(__file__).parents[2] / "infra/edge"
RING = f"e1:{base64.b64encode(bytes(range(200, 240))).decode()},e0:{base64.b64encode(b'0' * 32).decode()}"
KEYS = KeyRing.parse(RING, "test")
NOW = 1_800_000_000
PATH = "/a/" + "b2" * 16 + ".webp"


def urls():
    """(URL, whether the service takes it) of good, forged, expired and malformed ones."""
    signer = HmacUrlSigner(KEYS, "https://edge.example")
    old = HmacUrlSigner(KeyRing.parse(RING.split(",")[1], "test"), "https://edge.example")
    targets = [
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

    targets += [good, old.url(PATH, now=NOW, life_s=300)[0], late, bare, good.replace("b2b2", "b2b3"), good + "&k=e1"]
    targets += [with_(e=value) for value in ("", "0", str(int(fields["e"]) + 1), "9" * 10, "9" * 11, "1e9", "-1")]
    targets += [with_(k=value) for value in ("", "e0", "zz", "__proto__", "constructor", "toString")]
    targets += [
        with_(s=value)
        for value in ("", "A" * 22, "A" * 21, fields["s"][:-1], fields["s"] + "A", fields["s"].swapcase())
    ]
    targets += [good.replace("/a/", "/b/"), good.replace(".webp", ".png"), good.replace(".webp", ".webp/x")]
    cases = []
    for url in targets:
        parts = urlsplit(url)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        given_fields = dict(pairs)
        taken = len(given_fields) == len(pairs) == 3 and signer.verify(
            parts.path, given_fields["e"], given_fields["k"], given_fields["s"], now=NOW
        )
        cases.append(
            (url, bool(taken) and parts.path.startswith("/a/") and parts.path.endswith((".webp", ".jpg", ".avif")))
        )
    return cases


def run(folder, script, vectors):
    node = shutil.which("node")
    if node is None:
        missing_tool("node")
    path = folder / "run.mjs"
    path.write_text(script)
    done = subprocess.run(
        [node, path], input=json.dumps(vectors), capture_output=True, text=True, check=False, timeout=HANG_S
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


READ = f"import fs from 'fs'; const urls = JSON.parse(fs.readFileSync(0, 'utf8')); Date.now = () => {NOW * 1000};\n"


def test_there_are_good_and_bad_ones():
    verdicts = [taken for _, taken in urls()]
    assert verdicts.count(True) == 14
    assert verdicts.count(False) > 20


# A key-value store as CloudFront's module gives it; `broken` has it fail.
STORE = """
const held = new Map(), broken = {now: false};
const cf = {kvs: () => ({
    get: async (name) => { if (broken.now || !held.has(name)) throw new Error('none'); return held.get(name); },
    exists: async (name) => { if (broken.now) throw new Error('broken'); return held.has(name); },
})};
"""
ASK = """
async function taken(text) {
    const url = new URL(text), querystring = {};
    for (const [name, value] of url.searchParams) {
        querystring[name] = querystring[name] ? {...querystring[name], multiValue: [{value}]} : {value};
    }
    const answer = await handler({request: {uri: url.pathname, querystring}});
    if (answer.statusCode) return false;
    if (Object.keys(answer.querystring).length) throw new Error('the query is kept');
    return true;
}
async function all() { const found = []; for (const text of urls) found.push(await taken(text)); return found; }
"""


def cloudfront(keys=(), *, list_age_s=180):
    """The function with its imports and settings put in."""
    source = (EDGE / "cloudfront/verify.js").read_text()
    known = dict(part.split(":") for part in keys)
    for before, after in (
        ("{/* 'd1': 'base64 of the key' */}", json.dumps(known)),
        ("import cf from 'cloudfront';", STORE),
        ("const LIST_AGE_S = 180;", f"const LIST_AGE_S = {list_age_s};"),
    ):
        assert before in source
        source = source.replace(before, after)
    return source + READ + ASK


def test_cloudfront_takes_what_the_service_takes(tmp_path):
    script = cloudfront(RING.split(",")) + f"held.set('at', '{NOW - 5}'); console.log(JSON.stringify(await all()));"
    assert run(tmp_path, script, [url for url, _ in urls()]) == [taken for _, taken in urls()]


def test_cloudfront_finds_its_keys_in_the_store(tmp_path):
    keys = json.dumps({f"key_{key}": text for key, text in (part.split(":") for part in RING.split(","))})
    script = cloudfront() + (
        f"held.set('at', '{NOW}'); for (const [name, key] of Object.entries({keys})) held.set(name, key);"
        "console.log(JSON.stringify(await all()));"
    )
    assert run(tmp_path, script, [url for url, _ in urls()]) == [taken for _, taken in urls()]


def test_cloudfront_refuses_what_is_revoked_and_everything_while_it_cannot_know(tmp_path):
    good = [url for url, taken in urls() if taken]
    revoked = urlsplit(good[0]).path
    script = (
        cloudfront(RING.split(","))
        + f"""
    const said = {{}};
    const note = async (name) => {{ said[name] = await all(); }};
    await note('never');
    for (const [name, at] of [['fresh', {NOW - 180}], ['old', {NOW - 181}], ['ahead', {NOW + 61}]]) {{
        held.set('at', String(at)); await note(name);
    }}
    for (const at of ['', 'x', '-1', '1e9', 'Infinity', '{NOW}\\n']) {{ held.set('at', at); await note('word ' + at); }}
    held.set('at', '{NOW}'); held.set('{revoked}', '{NOW + 90000}'); await note('revoked');
    broken.now = true; await note('broken');
    console.log(JSON.stringify(said));"""
    )
    verdicts = run(tmp_path, script, good)
    assert all(verdicts.pop("fresh"))
    assert verdicts.pop("revoked") == [False] + [True] * (len(good) - 1)
    assert {name for name, accepted in verdicts.items() if any(accepted)} == set()


def test_cloudfront_without_a_list_takes_lives_of_a_minute(tmp_path):
    signer = HmacUrlSigner(KEYS, "https://edge.example")
    targets = [
        signer.url(f"/a/{letter * 32}.webp", now=NOW, life_s=life)[0] for letter, life in (("a", 60), ("b", 200))
    ]
    script = cloudfront(RING.split(","), list_age_s=0) + "console.log(JSON.stringify(await all()));"
    assert run(tmp_path, script, targets) == [True, False]


KEY_VALUES = {
    "Last-Modified": "Sun, 29 Nov 2026 10:00:00 GMT", "ETag": '"by-the-clock"', "x-amz-expiration": "rule", "Age": "7",
    "x-amz-tagging-count": "1", "x-amz-server-side-encryption-aws-kms-key-id": "arn", "x-amz-version-id": "v", "Via": "x",
    "x-amz-meta-sha256": "ab" * 32, "x-amz-meta-band": "age_13_15", "Set-Cookie": "a=b", "Expires": "x", "Server": "S3",
    "Content-Type": "image/webp", "Content-Range": "bytes 0-1/9", "Location": "x", "x-never-heard-of": "1",
}  # fmt: skip


def test_cloudfront_passes_on_the_headers_of_a_list(tmp_path):
    headers = {name.lower(): {"value": value} for name, value in KEY_VALUES.items()}
    source = (EDGE / "cloudfront/headers.js").read_text()
    script = source + READ + (
        "const response = {statusCode: 200, headers: urls[0], cookies: {a: {value: 'b'}}};"
        "console.log(JSON.stringify(handler({response})));"
    )  # fmt: skip
    answer = run(tmp_path, script, [headers])
    assert answer["cookies"] == {}
    assert {name: header["value"] for name, header in answer["headers"].items()} == {
        "content-type": "image/webp", "content-range": "bytes 0-1/9", "etag": f'"{"ab" * 16}"', "cache-control": "no-store",
    }  # fmt: skip


# Cloudflare's cache, KV and origin; `broken` has the KV fail.
WORKER = """
const kept = new Map(), held = new Map(), broken = {now: false}, puts = [];
globalThis.caches = {default: {
    match: async (request) => kept.get(request.url)?.clone(),
    put: async (request, response) => kept.set(request.url, response),
    delete: async (request) => kept.delete(request.url),
}};
const REVOKED = {
    get: async (name) => { if (broken.now) throw new Error('broken'); return held.get(name) ?? null; },
    put: async (name, value, options) => { if (broken.now) throw new Error('broken'); held.set(name, value); puts.push([name, options]); },
};
let asked = 0, origin = () => new Response('bytes', {headers: {'Cache-Control': 'public, max-age=9'}});
globalThis.fetch = async () => { asked++; return origin(); };
const env = {SIGNING_KEYS: RING, ORIGIN: 'https://origin.example', PURGE_TOKEN: 'secret', REVOKED};
const waits = [], context = {waitUntil: (work) => waits.push(work)};
async function got(url, method = 'GET', with_ = env) {
    const answer = await worker.fetch(new Request(url, {method}), with_, context);
    await Promise.all(waits);
    return {status: answer.status, headers: Object.fromEntries(answer.headers), body: await answer.text()};
}
async function all(with_ = env) { const found = []; for (const url of urls) found.push((await got(url, 'GET', with_)).status === 200); return found; }
async function tell(body, token = 'secret') {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const request = new Request('https://edge.example/purge', {method: 'POST', body: text, headers: {Authorization: 'Bearer ' + token}});
    return (await worker.fetch(request, env, context)).status;
}
"""


def cloudflare(tmp_path, script, vectors):
    shutil.copy(EDGE / "cloudflare/worker.js", tmp_path / "worker.mjs")
    head = f"import worker, {{left, ring}} from './worker.mjs';\nconst RING = {json.dumps(RING)};\n"
    return run(tmp_path, head + READ + WORKER + script, vectors)


def test_cloudflare_takes_what_the_service_takes_and_caches_it(tmp_path):
    script = f"""
    held.set('at', '{NOW - 5}');
    const keys = ring(RING), found = [];
    for (const text of urls) found.push(await left(new URL(text), keys, {NOW}) > 0);
    const handled = [await got(urls[0]), await got(urls[0]), await got(urls[0], 'POST'), asked];
    console.log(JSON.stringify({{found, whole: await all(), handled}}));"""
    answers = cloudflare(tmp_path, script, [url for url, _ in urls()])
    assert answers["found"] == answers["whole"] == [taken for _, taken in urls()]
    first, second, posted, asked = answers["handled"]
    assert first == second
    assert (first["status"], posted["status"], asked) == (200, 404, 1)
    assert first["headers"]["cache-control"].startswith("public, max-age=")
    assert first["headers"]["cache-control"].endswith(", immutable")


def test_cloudflare_refuses_what_is_revoked_and_everything_while_it_cannot_know(tmp_path):
    good = [url for url, taken in urls() if taken]
    revoked = urlsplit(good[0]).path
    script = f"""
    const said = {{}};
    const note = async (name) => {{ said[name] = await all(); }};
    await note('never');
    said.statuses = [await tell({{paths: [], at: {NOW - 9}, since: {NOW - 99}}}), await tell({{paths: [], at: {NOW - 9}}})];
    await note('fresh');
    said.statuses.push(await tell({{paths: ['{revoked}', '{revoked}\\n', '/a/x', 7], at: {NOW}, since: {NOW - 9}}}));
    await note('revoked');
    said.statuses.push(await tell({{paths: [], at: {NOW - 100}}}));
    said.at = held.get('at'); said.puts = puts.filter(([name]) => name !== 'at');
    for (const [name, at] of [['old', {NOW - 181}], ['ahead', {NOW + 61}]]) {{ held.set('at', String(at)); await note(name); }}
    for (const at of ['', 'x', '-1', '1e9', 'Infinity']) {{ held.set('at', at); await note('word ' + at); }}
    held.set('at', '{NOW}'); broken.now = true; await note('broken');
    said.statuses.push(await tell({{paths: ['{revoked}']}}));
    broken.now = false;
    said.refused = [];
    for (const body of ['', '[]', '{{}}', '{{"paths": 1}}', '{{"paths": [], "at": "1800000000"}}', '{{"paths": [], "at": 1.5}}', JSON.stringify({{paths: Array(401).fill('x')}})])
        said.refused.push(await tell(body));
    said.strangers = [await tell({{paths: []}}, 'other'), await tell({{paths: []}}, '')];
    console.log(JSON.stringify(said));"""
    verdicts = cloudflare(tmp_path, script, good)
    assert verdicts.pop("statuses") == [409, 204, 204, 204, 503]
    assert verdicts.pop("at") == str(NOW)
    assert verdicts.pop("puts") == [[revoked, {"expirationTtl": 90_000}]]
    assert verdicts.pop("refused") == [400] * 7
    assert verdicts.pop("strangers") == [404, 404]
    assert all(verdicts.pop("fresh"))
    assert verdicts.pop("revoked") == [False] + [True] * (len(good) - 1)
    assert {name for name, accepted in verdicts.items() if any(accepted)} == set()


def test_cloudflare_without_a_list_takes_lives_of_a_minute(tmp_path):
    signer = HmacUrlSigner(KEYS, "https://edge.example")
    targets = [
        signer.url(f"/a/{letter * 32}.webp", now=NOW, life_s=life)[0] for letter, life in (("a", 60), ("b", 200))
    ]
    script = "const bare = {...env, REVOKED: undefined}; console.log(JSON.stringify(await all(bare)));"
    assert cloudflare(tmp_path, script, targets) == [True, False]


def test_cloudflare_passes_on_the_headers_of_a_list_and_no_answer_of_an_origin_that_fails(tmp_path):
    script = f"""
    held.set('at', '{NOW}');
    const told = {json.dumps(KEY_VALUES)};
    const found = [];
    for (const status of [200, 206, 301, 304, 403, 404, 500, 503]) {{
        kept.clear();
        origin = () => new Response(status === 304 ? null : 'inside', {{status, headers: told}});
        for (const again of [1, 2]) found.push([status, await got(urls[0])]);
    }}
    kept.clear(); origin = () => {{ throw new Error('away'); }};
    found.push([0, await got(urls[0])]);
    console.log(JSON.stringify(found));"""
    answers = cloudflare(tmp_path, script, [urls()[0][0]])
    for status, answer in answers:
        assert answer["status"] == {200: 200, 404: 404}.get(status, 502)
        assert answer["body"] == ("inside" if status == 200 else "")
        allowed = {"content-type", "etag", "cache-control"} if status == 200 else {"cache-control"}
        assert set(answer["headers"]) <= allowed
