// Against a running Nightlight: NIGHTLIGHT_URL, NIGHTLIGHT_TOKEN, NIGHTLIGHT_RELATIONS_KEYS and NIGHTLIGHT_PICTURE (a
// file) say which. tests/e2e/test_typescript.py starts one.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { test } from "node:test";

import { NightlightClient, Problem, issueProof } from "../dist/index.js";

const { NIGHTLIGHT_URL: url, NIGHTLIGHT_TOKEN: token } = process.env;
const [id, key] = process.env.NIGHTLIGHT_RELATIONS_KEYS.split(",")[0].split(":");
const relationKeys = new Map([[id, Buffer.from(key, "base64")]]);
const client = new NightlightClient(url, { token, relationKeys, budgetMs: 300_000 });
// A server that a failed test leaves open does not keep the process from ending.
const serve = (handler) => createServer(handler).unref();
const golden = JSON.parse(readFileSync(new URL("../../../docs/api/decisions.json", import.meta.url), "utf8"));

async function until(check) {
    for (let tries = 0; tries < 2000; tries++) {
        const found = await check();
        if (found) return found;
        await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.fail("it did not come to be");
}

const asked = (items, more = {}) => ({ viewer: "peer", context: "profile", viewerId: "ts-viewer", items, ...more });

test("from a declaration to the bytes of a picture", async () => {
    const profile = await client.declare("ts-teen", { band: "age_13_15", assurance: "verified", region: "eu" });
    assert.equal(profile.profile_id, "ts-teen");
    const picture = new Blob([readFileSync(process.env.NIGHTLIGHT_PICTURE)]);
    const image = await client.upload("ts-teen", picture, "ts-upload-1");
    assert.equal((await client.upload("ts-teen", picture, "ts-upload-1")).image_id, image.image_id);
    await until(async () => (await client.image(image.image_id)).state === "ready");
    const items = [
        { profile_id: "ts-teen", relation: "connection" }, { profile_id: "ts-teen" }, { profile_id: "ts-nobody" },
    ];
    const [friend, stranger, nobody] = await client.decide(asked(items));
    assert.equal(new Set([friend.url, stranger.url, nobody.url].map((one) => one.split("?")[0])).size, 3);
    assert.ok([friend, stranger, nobody].every((one) => !one.fallback && one.expires_at > Date.now() / 1000));
    assert.deepEqual([friend, stranger, nobody].map((one) => one.capture), ["forbid", "forbid", "forbid"]);
    const [own] = await client.decide(asked([{ profile_id: "ts-teen", relation: "self" }]));
    assert.equal(own.capture, "allow");
    const lengths = await Promise.all([friend, stranger].map(async (one) => {
        const answer = await fetch(one.url);
        assert.equal(answer.status, 200);
        assert.equal(answer.headers.get("content-type"), "image/webp");
        return (await answer.arrayBuffer()).byteLength;
    }));
    assert.ok(lengths[0] > lengths[1]);
});

test("a block counts in the decision that names it", async () => {
    const consistency = await client.block("ts-teen", "ts-viewer");
    assert.match(consistency, /^[1-9][0-9]*$/);
    const items = [{ profile_id: "ts-teen", relation: "connection" }, { profile_id: "ts-nobody" }];
    const [blocked, nobody] = await client.decide(asked(items, { consistency }));
    assert.equal(blocked.url, nobody.url);
    await client.unblock("ts-teen", "ts-viewer");
    await client.revoke("ts-teen");
});

test("what is refused is a problem", async () => {
    const refused = (call, status, code) => assert.rejects(call, (error) => {
        assert.ok(error instanceof Problem);
        assert.deepEqual([error.status, error.code], [status, code]);
        return true;
    });
    await refused(client.decide(asked([], { viewer: "nobody" })), 422, "invalid_input");
    await refused(client.image("0".repeat(32)), 404, "not_found");
    await refused(new NightlightClient(url, { token: "x" }).decide(asked([])), 401, "unauthenticated");
    await assert.rejects(client.decide(asked(Array(501).fill({ profile_id: "a" }))), RangeError);
});

test("without a service everybody sees the placeholder, in time", async () => {
    const servers = [
        serve(() => {}), // never answers
        serve((_, answer) => { answer.writeHead(503); answer.end("{}"); }),
        serve((_, answer) => { answer.writeHead(200, { "Content-Type": "application/json" }); answer.end('{"items": [1'); }),
        serve((_, answer) => {
            answer.writeHead(200, { "Content-Type": "application/json" });
            answer.end(JSON.stringify({ items: [{ profile_id: "another", url: "https://x", expires_at: 1, blurhash: "" }] }));
        }),
        serve((request) => { request.socket.destroy(); }),
    ];
    for (const server of servers) {
        await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
        const away = new NightlightClient(`http://127.0.0.1:${server.address().port}`, { token: "x", budgetMs: 300 });
        const [one] = await away.decide(asked([{ profile_id: "ts-teen" }]));
        assert.ok(one.fallback);
        assert.equal(one.capture, "forbid");
        assert.ok(one.url.startsWith("data:image/webp;base64,UklGR"));
        server.closeAllConnections();
        server.close();
    }
});

test("what an earlier service does not say of capture is forbidden", async () => {
    const items = [{ profile_id: "ts-teen", url: "https://x", expires_at: 1, blurhash: "" }];
    const server = serve((_, answer) => {
        answer.writeHead(200, { "Content-Type": "application/json" });
        answer.end(JSON.stringify({ items }));
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    const earlier = new NightlightClient(`http://127.0.0.1:${server.address().port}`, { token: "x" });
    const [one] = await earlier.decide(asked([{ profile_id: "ts-teen" }]));
    assert.deepEqual([one.url, one.capture, one.fallback], ["https://x", "forbid", false]);
    server.closeAllConnections();
    server.close();
});

test("proofs are those of the golden table", async () => {
    const keys = new Map(Object.entries(golden.relation_keys).map(([name, text]) => [name, Buffer.from(text, "base64")]));
    let held = 0;
    for (const { viewer_id: viewerId, items } of golden.cases) {
        for (const { profile_id: profileId, relation, proof } of items.slice(0, 120)) {
            if (!proof || !viewerId) continue;
            assert.equal(await issueProof(keys, viewerId, profileId, relation, golden.now, 600), proof);
            held += 1;
        }
    }
    assert.ok(held > 300);
    await assert.rejects(issueProof(keys, "v", "p", "connection", golden.now, 3601), RangeError);
    await assert.rejects(issueProof(new Map(), "v", "p", "connection", golden.now, 60), RangeError);
});

test("URLs of the golden table are signed by the keys of the day on which they expire", () => {
    for (const { answers } of golden.cases) {
        for (const [text, expiresAt] of answers) {
            const found = new URL(text, "https://x");
            const [e, k, s] = ["e", "k", "s"].map((name) => found.searchParams.get(name));
            assert.deepEqual([Number(e), k], [expiresAt, golden.keys.signing_id]);
            const day = Buffer.from(golden.keys.days[Math.floor(expiresAt / 86400)], "base64");
            const digest = createHmac("sha256", day).update(`${found.pathname}\n${e}\n${k}`).digest();
            assert.equal(digest.subarray(0, 16).toString("base64url"), s);
        }
    }
});

const hostile = [
    "..", ".", "victim\n", "", "v".repeat(257), "\ud800", "a\udc00", "\u202evictim", "victim\u2028", "\u0000", "\u001b[2J", "\u0085", "\ufeff",
    "\ufffd", "\ue000", "vic\u200btim", "\u{1f47b}".repeat(257), undefined, null, 7, ["victim"], {},
];
const odd = [
    "zz/../victim", "../profiles/victim", "..%2fprofiles%2fvictim", "victim#x", "victim?x=1", "#", "?", "...", ".victim", "%2e%2e", "%2e%2e/victim",
    " victim ", "vic tim", "v\u00efctim", "victim/", "/victim", "//", "~victim", "-victim", "victim;x", "a+b", "%", "..\\victim", "'(a)*!",
    "victim@example.com", "\u{1f468}\u200d\u{1f469}\u200d\u{1f467}", "\u{1f47b}".repeat(256), "\u0645\u0631\u062d\u0628\u0627",
];

test("an odd id is one part of a path, and arrives as it is", async () => {
    const sent = [];
    const server = serve((request, answer) => { sent.push(request.url); answer.writeHead(204); answer.end(); });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    const client = new NightlightClient(`http://127.0.0.1:${server.address().port}`, { token: "x" });
    for (const id of odd) {
        await client.deleteProfile(id);
        await client.unblock(id, id);
        const [profile, block] = sent.splice(0).map((path) => path.split("/").slice(3).map(decodeURIComponent));
        assert.deepEqual([profile, block], [[id], [id, id]]);
    }
    server.close();
});

test("a person's own data comes as an archive, and is gone when it is removed", async () => {
    await client.declare("ts-export", { band: "age_13_15", assurance: "verified", region: "eu" });
    let status = await client.exportProfile("ts-export");
    for (let left = 600; status.state === "pending" && left > 0; left--) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        status = await client.exportStatus("ts-export");
    }
    assert.equal(status.state, "ready");
    const archive = await client.exportFile("ts-export");
    assert.equal(Buffer.from(await archive.arrayBuffer()).subarray(0, 4).toString("latin1"), "PK\x03\x04");
    await client.deleteExport("ts-export");
    await assert.rejects(client.exportFile("ts-export"), (error) => error instanceof Problem && error.status === 404);
});

test("an id that the service would refuse is sent nowhere", async () => {
    const sent = [];
    const server = serve((request, answer) => { sent.push(request.url); answer.writeHead(204); answer.end(); });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    const strict = new NightlightClient(`http://127.0.0.1:${server.address().port}`, { token: "x", onFailure: () => {} });
    const refused = (call) => assert.rejects(call, (error) => error instanceof Problem && error.code === "invalid_input");
    const calls = {
        declare: (bad) => strict.declare(bad, { band: "adult", assurance: "verified" }),
        upload: (bad) => strict.upload(bad, new Blob(["x"])),
        image: (bad) => strict.image(bad),
        deleteProfile: (bad) => strict.deleteProfile(bad),
        deactivate: (bad) => strict.deactivate(bad),
        reactivate: (bad) => strict.reactivate(bad),
        revoke: (bad) => strict.revoke(bad),
        exportProfile: (bad) => strict.exportProfile(bad),
        exportStatus: (bad) => strict.exportStatus(bad),
        exportFile: (bad) => strict.exportFile(bad),
        deleteExport: (bad) => strict.deleteExport(bad),
        block: (bad) => strict.block(bad, "a"),
        unblock: (bad) => strict.unblock(bad, "a"),
        placeTakedown: (bad) => strict.placeTakedown(bad, { kind: "other", reference: "case" }),
        takedownStatus: (bad) => strict.takedownStatus(bad),
        confirmTakedown: (bad) => strict.confirmTakedown(bad, "0".repeat(32)),
        clearTakedown: (bad) => strict.clearTakedown("0".repeat(32), bad),
        undoTakedown: (bad) => strict.undoTakedown(bad, "wrong"),
        askTakedownReview: (bad) => strict.askTakedownReview(bad),
        takedownReview: (bad) => strict.takedownReview(bad),
        reviewPicture: (bad) => strict.reviewPicture("0".repeat(32), bad),
    };
    const others = new Set(["constructor", "decide", "attempt", "proved", "told", "done", "problem", "verdict"]);
    const methods = Object.getOwnPropertyNames(NightlightClient.prototype).filter((name) => !others.has(name));
    assert.deepEqual(methods.sort(), Object.keys(calls).sort(), "a method that takes ids and that nothing here tries");
    for (const bad of hostile) {
        if (bad !== 7) for (const call of Object.values(calls)) await refused(call(bad));
        await refused(strict.unblock("a", bad === 7 ? ".." : bad));
        await refused(strict.block("a", bad === 7 ? ".." : bad));
        await assert.rejects(strict.http.DELETE("/v1/images/{image_id}", { params: { path: { image_id: bad } } }));
        if (bad !== undefined && bad !== 7) await refused(strict.decide(asked([], { viewerId: bad })));
    }
    assert.deepEqual(sent, []);
    server.close();
});

test("a wrong host is told of and counted", async () => {
    const page = serve((_, answer) => { answer.writeHead(200, { "Content-Type": "text/html" }); answer.end("<html>"); });
    const missing = serve((_, answer) => { answer.writeHead(404, { "Content-Type": "text/html" }); answer.end("<html>"); });
    for (const server of [page, missing]) await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    const closed = serve(() => {});
    await new Promise((resolve) => closed.listen(0, "127.0.0.1", resolve));
    const nobody = closed.address().port;
    await new Promise((resolve) => closed.close(resolve));
    const kinds = async (address) => {
        const told = [];
        const lost = new NightlightClient(address, { token: "x", budgetMs: 300, onFailure: (one) => told.push(one.kind) });
        const [one] = await lost.decide(asked([{ profile_id: "p" }]));
        assert.ok(one.fallback);
        assert.deepEqual([...lost.failures.counts.keys()], told);
        return told;
    };
    assert.deepEqual((await kinds(`http://127.0.0.1:${nobody}`))[0], "unreachable");
    assert.deepEqual((await kinds(`http://127.0.0.1:${page.address().port}`))[0], "not_nightlight");
    assert.deepEqual((await kinds(`https://127.0.0.1:${page.address().port}`))[0] !== undefined, true);
    const lost = new NightlightClient(`http://127.0.0.1:${missing.address().port}`, { token: "x", onFailure: () => {} });
    await assert.rejects(lost.decide(asked([])), (error) => error.code === "not_nightlight");
    await assert.rejects(lost.deleteProfile("a"), (error) => error.code === "not_nightlight");
    assert.equal(lost.failures.counts.get("not_nightlight"), 2);
    for (const server of [page, missing]) { server.closeAllConnections(); server.close(); }
});

test("a notice is placed on an image or a picture, shown and undone, and a verdict is on one that stands", async () => {
    await client.declare("ts-noticed", { band: "adult", assurance: "verified", region: "eu" });
    const picture = new Blob([readFileSync(process.env.NIGHTLIGHT_PICTURE)]);
    const { image_id } = await client.upload("ts-noticed", picture);
    const words = { kind: "other", reference: "case-81", received_at: "2026-11-30T00:00:00Z" };
    const placed = await client.placeTakedown(image_id, words);
    assert.deepEqual([placed.state, placed.image_id, placed.reference], ["pending", image_id, "case-81"]);
    const undone = await client.undoTakedown(placed.takedown_id, "another picture");
    assert.deepEqual([undone.state, undone.reason], ["undoing", "another picture"]);
    for (const verdict of [client.confirmTakedown, client.clearTakedown]) {
        await assert.rejects(verdict.call(client, placed.takedown_id, image_id), (error) => error.code === "conflict");
    }
    const found = await client.placeTakedown(picture, { kind: "other", reference: "case-82" });
    assert.equal(found.image_id, null);
    // Softened pictures are made for a notice that stands; this one may not yet.
    const review = await client.takedownReview(found.takedown_id);
    assert.deepEqual([review.takedown_id, review.reference], [found.takedown_id, "case-82"]);
    await assert.rejects(client.askTakedownReview(undone.takedown_id), (error) => error.code === "conflict");
    await assert.rejects(client.reviewPicture(found.takedown_id, image_id), (error) => error.code === "not_found");
    await client.undoTakedown(found.takedown_id, "it was a test");
    assert.ok(Array.isArray((await client.takedownStatus(found.takedown_id)).matches));
    await assert.rejects(client.takedownStatus("no id"), (error) => error.code === "invalid_input");
});
