// Against a running Nightlight: NIGHTLIGHT_URL, NIGHTLIGHT_TOKEN, NIGHTLIGHT_RELATIONS_KEYS and NIGHTLIGHT_PICTURE (a
// file) say which. tests/e2e/test_typescript.py starts one.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { ClientMisconfigured, InvalidId, NightlightClient, Problem, issueProof } from "../dist/index.js";
import { answering, nobody, serve, thrown } from "./servers.mjs";

const { NIGHTLIGHT_URL: url, NIGHTLIGHT_TOKEN: token, NIGHTLIGHT_RELATIONS_KEYS: relationKeys } = process.env;
const client = new NightlightClient(url, { token, relationKeys, budgetMs: 300_000, timeoutMs: 300_000 });
const waiting = { timeoutMs: 300_000 };
const golden = JSON.parse(readFileSync(new URL("../../../docs/api/decisions.json", import.meta.url), "utf8"));

const asked = (items, more = {}) => ({ viewer: "peer", context: "profile", viewerId: "ts-viewer", items, ...more });

test("from a declaration to the bytes of a picture", async () => {
    const profile = await client.declare("ts-teen", { band: "age_13_15", assurance: "verified", region: "eu" });
    assert.equal(profile.profile_id, "ts-teen");
    assert.match(profile.consistency, /^[1-9][0-9]*$/);
    const picture = new Blob([readFileSync(process.env.NIGHTLIGHT_PICTURE)]);
    const image = await client.upload("ts-teen", picture, { idempotencyKey: "ts-upload-1" });
    assert.equal((await client.upload("ts-teen", picture, { idempotencyKey: "ts-upload-1" })).image_id, image.image_id);
    assert.equal((await client.wait(image.image_id, waiting)).state, "ready");
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
    await refused(client.decide(asked(Array(501).fill({ profile_id: "a" }))), 422, "invalid_input");
    const { pointer } = await thrown(client.decide(asked([{ profile_id: "a" }, { profile_id: "b", relation: "" }])));
    assert.match(pointer, /^\/items\/1/);
});

test("without a service everybody sees the placeholder, in time", async () => {
    const another = { items: [{ profile_id: "another", url: "https://x", expires_at: 1, blurhash: "" }] };
    const servers = [
        await serve(() => {}), // never answers
        await answering(503, {}),
        await answering(200, '{"items": [1'),
        await answering(200, another),
        await answering(200, { items: [null] }),
        await serve((request) => { request.socket.destroy(); }),
    ];
    for (const server of servers) {
        const away = new NightlightClient(server.url, { token: "x", budgetMs: 300, onFailure: () => {} });
        const [one] = await away.decide(asked([{ profile_id: "ts-teen" }]));
        assert.ok(one.fallback);
        assert.equal(one.capture, "forbid");
        assert.ok(one.url.startsWith("data:image/webp;base64,UklGR"));
        await server.close();
    }
});

test("what an earlier service does not say of capture is forbidden", async () => {
    const server = await answering(200, { items: [{ profile_id: "ts-teen", url: "https://x", expires_at: 1, blurhash: "" }] });
    const [one] = await new NightlightClient(server.url, { token: "x" }).decide(asked([{ profile_id: "ts-teen" }]));
    assert.deepEqual([one.url, one.capture, one.fallback], ["https://x", "forbid", false]);
    await server.close();
});

test("a client that is set up right is told who it is", async () => {
    const caller = await client.check("decide", "ingest", "relate");
    assert.equal(caller.subject, "typescript");
    const wrong = new NightlightClient(url, { token, relationKeys: { r9: new Uint8Array(32) }, budgetMs: 300_000 });
    assert.match((await thrown(wrong.check())).message, /another key 'r9'/);
    const now = Date.now;
    Date.now = () => now() + 3_600_000;
    try {
        const ahead = await thrown(client.check());
        assert.ok(ahead instanceof ClientMisconfigured);
        assert.match(ahead.message, /36\d\d s ahead/);
    } finally {
        Date.now = now;
    }
    const unknown = new NightlightClient(url, { token: "x", budgetMs: 300_000 });
    assert.deepEqual([(await thrown(unknown.check())).status, (await thrown(client.check("no-such-scope"))).status], [401, 403]);
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
    const server = await answering(204, "");
    const odds = new NightlightClient(server.url, { token: "x" });
    for (const id of odd) {
        await odds.deleteProfile(id);
        await odds.unblock(id, id);
        const [profile, block] = server.sent.splice(0).map(({ url: path }) => path.split("/").slice(3).map(decodeURIComponent));
        assert.deepEqual([profile, block], [[id], [id, id]]);
    }
    await server.close();
});

test("a person's own data comes as an archive, and is gone when it is removed", async () => {
    await client.declare("ts-export", { band: "age_13_15", assurance: "verified", region: "eu" });
    await client.exportProfile("ts-export");
    assert.equal((await client.waitExport("ts-export", waiting)).state, "ready");
    const archive = await client.exportFile("ts-export");
    assert.equal(Buffer.from(await archive.arrayBuffer()).subarray(0, 4).toString("latin1"), "PK\x03\x04");
    await client.deleteExport("ts-export");
    await assert.rejects(client.exportFile("ts-export"), (error) => error instanceof Problem && error.status === 404);
});

test("an id that the service would refuse is sent nowhere", async () => {
    const server = await answering(204, "");
    const strict = new NightlightClient(server.url, { token: "x" });
    const image = "0".repeat(32);
    const calls = {
        declare: (bad) => strict.declare(bad, { band: "adult", assurance: "verified" }),
        upload: (bad) => strict.upload(bad, new Blob(["x"])),
        image: (bad) => strict.image(bad),
        wait: (bad) => strict.wait(bad),
        receipts: (bad) => strict.receipts(bad),
        deleteImage: (bad) => strict.deleteImage(bad),
        deleteProfile: (bad) => strict.deleteProfile(bad),
        deactivate: (bad) => strict.deactivate(bad),
        reactivate: (bad) => strict.reactivate(bad),
        setReportFlag: (bad) => strict.setReportFlag(bad, "clear"),
        revoke: (bad) => strict.revoke(bad),
        plant: (bad) => strict.plant(bad),
        traceStatus: (bad) => strict.traceStatus(bad),
        waitTrace: (bad) => strict.waitTrace(bad),
        deleteTrace: (bad) => strict.deleteTrace(bad),
        exportProfile: (bad) => strict.exportProfile(bad),
        exportStatus: (bad) => strict.exportStatus(bad),
        waitExport: (bad) => strict.waitExport(bad),
        exportFile: (bad) => strict.exportFile(bad),
        deleteExport: (bad) => strict.deleteExport(bad),
        block: (bad) => strict.block(bad, "a"),
        unblock: (bad) => strict.unblock(bad, "a"),
        placeTakedown: (bad) => strict.placeTakedown(bad, { kind: "other", reference: "case" }),
        takedownStatus: (bad) => strict.takedownStatus(bad),
        waitTakedown: (bad) => strict.waitTakedown(bad),
        confirmTakedown: (bad) => strict.confirmTakedown(bad, image),
        clearTakedown: (bad) => strict.clearTakedown(image, bad),
        undoTakedown: (bad) => strict.undoTakedown(bad, "wrong"),
        askTakedownReview: (bad) => strict.askTakedownReview(bad),
        takedownReview: (bad) => strict.takedownReview(bad),
        reviewPicture: (bad) => strict.reviewPicture(image, bad),
        decide: (bad) => strict.decide(asked([], { viewerId: bad ?? null })),
        explain: (bad) => strict.explain(asked([], { network: bad ?? null })),
        send: (bad) => strict.send("delete", "/v1/images/{image_id}", { path: { image_id: bad } }),
        bundleInUse: (bad) => strict.bundleInUse(bad === 7 ? 1.5 : bad),
    };
    // These take no ids in paths, or none at all; `views` takes what `decide` does, and the service checks it.
    const others = ["constructor", "call", "callInBudget", "verdict", "check", "trace", "feed", "views", "delegatedKeys", "report", "policyBundle"];
    const methods = [NightlightClient.prototype, Object.getPrototypeOf(NightlightClient.prototype)].flatMap(Object.getOwnPropertyNames);
    const tried = [...others, "constructor", ...Object.keys(calls)];
    assert.deepEqual(methods.sort(), tried.sort(), "a method that takes ids and that nothing here tries");
    const refused = (call) => assert.rejects(call, (error) => error instanceof InvalidId && error.code === "invalid_input");
    for (const bad of hostile) {
        for (const call of Object.values(calls)) await refused(call(bad));
        await refused(strict.unblock("a", bad));
        await refused(strict.block("a", bad));
        await refused(strict.confirmTakedown(image, bad));
        await refused(strict.reviewPicture(bad, image));
    }
    for (const bad of [0, -1, 2 ** 31, 1.5, "1", NaN]) await refused(strict.bundleInUse(bad));
    assert.deepEqual(server.sent, []);
    await server.close();
});

test("a wrong host is told of and counted", async () => {
    const page = await answering(200, "<html>", { "Content-Type": "text/html" });
    const missing = await answering(404, "<html>", { "Content-Type": "text/html" });
    const kinds = async (address) => {
        const told = [];
        const lost = new NightlightClient(address, { token: "x", budgetMs: 300, onFailure: (one) => told.push(one.kind) });
        const [one] = await lost.decide(asked([{ profile_id: "p" }]));
        assert.ok(one.fallback);
        assert.deepEqual([...lost.failures.counts.keys()], told);
        return told;
    };
    assert.equal((await kinds(await nobody()))[0], "unreachable");
    assert.equal((await kinds(page.url))[0], "not_nightlight");
    assert.equal((await kinds(page.url.replace("http:", "https:")))[0], "tls");
    const lost = new NightlightClient(missing.url, { token: "x", onFailure: () => {} });
    await assert.rejects(lost.decide(asked([])), (error) => error.code === "not_nightlight");
    await assert.rejects(lost.deleteProfile("a"), (error) => error.code === "not_nightlight");
    assert.equal(lost.failures.counts.get("not_nightlight"), 2);
    for (const server of [page, missing]) await server.close();
});

test("a reported picture is hidden, and a deleted one leaves a receipt", async () => {
    await client.declare("ts-reported", { band: "adult", assurance: "verified", region: "eu" });
    const { image_id } = await client.upload("ts-reported", readFileSync(process.env.NIGHTLIGHT_PICTURE));
    await client.wait(image_id, waiting);
    const shown = async (consistency) => (await client.decide(asked([["ts-reported", "connection"]], { consistency })))[0].url.split("?")[0];
    const [before] = [await shown(), await client.plant("ts-reported")];
    const hidden = await shown(await client.setReportFlag("ts-reported", "reported"));
    assert.notEqual(hidden, before);
    await client.setReportFlag("ts-reported", "clear");
    const { items, policy_digest } = await client.explain(asked([["ts-reported", "connection"]]));
    assert.ok(items.length === 1 && typeof policy_digest === "string");
    await client.deleteImage(image_id);
    assert.equal((await client.image(image_id)).state, "deleted");
    assert.ok(Array.isArray(await client.receipts(image_id)));
});

test("a process that decides by itself has its feed, views and keys", async () => {
    const { cursor } = await client.feed();
    assert.ok(Array.isArray((await client.feed(cursor)).changed));
    assert.equal((await client.views(new Set(["ts-teen"]))).profiles[0].profile_id, "ts-teen");
    assert.ok(Object.keys((await client.delegatedKeys()).days).length > 0);
    await client.report({}, []);
    assert.equal(await client.policyBundle(), undefined);  // it decides by a folder of policies
    assert.ok(Array.isArray((await client.send("get", "/v1/holds", {})).holds));
});

test("a found copy is traced", async () => {
    const { trace_id } = await client.trace(readFileSync(process.env.NIGHTLIGHT_PICTURE), { keep: true });
    const done = await client.waitTrace(trace_id, waiting);
    assert.equal(done.trace_id, trace_id);
    assert.equal((await client.traceStatus(trace_id)).state, done.state);
    await client.deleteTrace(trace_id);
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
    assert.notEqual((await client.waitTakedown(found.takedown_id, waiting)).state, "pending");
    assert.ok(Array.isArray((await client.takedownStatus(found.takedown_id)).matches));
    await assert.rejects(client.takedownStatus("no id"), (error) => error.code === "invalid_input");
});
