// How calls go, without a Nightlight: what they throw, how often they try, when they give up, whom they tell.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";

import {
    ClientMisconfigured, InvalidId, NightlightClient, NightlightError, NotNightlight, Problem, ServiceUnreachable, StillPending,
} from "../dist/index.js";
import { answering, nobody, serve, thrown } from "./servers.mjs";

const quiet = { token: "t", onFailure: () => {} };
const asked = (items, more = {}) => ({ viewer: "peer", context: "list", items, ...more });
const decision = (profile_id) => ({ profile_id, url: "https://x/a", expires_at: 1, blurhash: "L", capture: "forbid" });
const IMAGE = { image_id: "0".repeat(32), profile_id: "p", state: "ready", reason: null, reason_detail: null };
const caller = (more = {}) => ({ subject: "us", scopes: ["decide"], now: Date.now() / 1000, relation_keys: [], ...more });
const json = (answer, status, body) => {
    answer.writeHead(status, { "Content-Type": "application/json" });
    answer.end(JSON.stringify(body));
};

test("a problem has its code, its faults and their places", async () => {
    const errors = [{ pointer: "/items/3/relation", detail: "no such word" }, "odd", { pointer: 7 }];
    const service = await answering(422, { code: "invalid_input", detail: "not so", errors });
    const error = await thrown(new NightlightClient(service.url, quiet).decide(asked([])));
    assert.ok(error instanceof Problem && error instanceof NightlightError && error instanceof Error);
    assert.deepEqual([error.name, error.status, error.code, error.detail, error.retryable], ["Problem", 422, "invalid_input", "not so", false]);
    assert.equal(error.pointer, "/items/3/relation");
    assert.deepEqual(error.errors, [errors[0], { pointer: "7", detail: "" }]);
    assert.match(error.message, /422 invalid_input: not so \(\/items\/3\/relation: no such word/);
    await service.close();
});

test("an outage that is said is a problem that may pass; another host's answer is none", async () => {
    for (const [status, body, kind, again] of [
        [503, "<html>", Problem, true], [429, { detail: "slower" }, Problem, true], [404, "<html>", NotNightlight, false],
        [404, { message: "none" }, NotNightlight, false], [200, "<html>", NotNightlight, false], [200, [], NotNightlight, false],
        [302, "", NotNightlight, false], [200, { ...IMAGE, state: 7 }, NotNightlight, false], [200, { image_id: "0" }, NotNightlight, false],
    ]) {
        const service = await answering(status, body, { Location: "https://elsewhere.example/" });
        const client = new NightlightClient(service.url, quiet);
        const error = await thrown(client.image("0".repeat(32)));
        assert.ok(error instanceof kind, `${status} ${body}: ${error}`);
        assert.equal(error.retryable, again);
        assert.equal(client.failures.counts.get("not_nightlight") ?? 0, kind === NotNightlight ? 1 : 0);
        await service.close();
    }
});

test("what a newer service says besides is passed on, and what an older one leaves out is null", async () => {
    const service = await answering(200, { image_id: "0", profile_id: "p", state: "ready", later: [1] });
    const image = await new NightlightClient(service.url, quiet).image("0".repeat(32));
    assert.deepEqual(image, { image_id: "0", profile_id: "p", state: "ready", later: [1], reason: null, reason_detail: null });
    await service.close();
});

test("an answer that does not end, or is too long, is given up", async () => {
    const endless = await serve((_, answer) => {
        answer.writeHead(200, { "Content-Type": "application/json" });
        const piece = "x".repeat(1_000_000);
        const more = () => { while (!answer.destroyed && answer.write(piece)); };
        answer.on("drain", more);
        more();
    });
    const error = await thrown(new NightlightClient(endless.url, quiet).image("0".repeat(32)));
    assert.ok(error instanceof NotNightlight, String(error));
    assert.match(error.detail, /more than 64,000,000 bytes/);
    await endless.close();
    const stuck = await serve((_, answer) => { answer.writeHead(200); answer.write("{"); });
    const late = await thrown(new NightlightClient(stuck.url, { ...quiet, stepMs: 50 }).image("0".repeat(32)));
    assert.ok(late instanceof ServiceUnreachable && late.kind === "timeout" && late.retryable, String(late));
    await stuck.close();
});

test("a call without an answer ends by its time, whatever fetch does with the signal", async () => {
    const silent = await serve(() => {});
    const began = performance.now();
    for (const more of [{}, { fetch: () => new Promise(() => {}) }, { token: () => new Promise(() => {}) }]) {
        const error = await thrown(new NightlightClient(silent.url, { ...quiet, timeoutMs: 50, ...more }).image("0".repeat(32)));
        assert.ok(error instanceof ServiceUnreachable && error.kind === "timeout");
        const [one] = await new NightlightClient(silent.url, { ...quiet, budgetMs: 100, ...more }).decide(asked([["p"]]));
        assert.ok(one.fallback);
    }
    assert.ok(performance.now() - began < 5000);
    await silent.close();
});

test("each kind of failure has its name", async () => {
    const cut = await serve((request) => { request.socket.destroy(); });
    const plain = await answering(204, "");
    for (const [url, kind] of [
        [await nobody(), "unreachable"], ["http://nobody.invalid", "unresolved"], [cut.url, "cut"], [plain.url.replace("http:", "https:"), "tls"],
    ]) {
        const told = [];
        const client = new NightlightClient(url, { token: "t", onFailure: (one) => { told.push(one.kind); throw new Error("mine"); } });
        const error = await thrown(client.deleteProfile("a"));
        assert.ok(error instanceof ServiceUnreachable, String(error));
        assert.deepEqual([error.kind, told, [...client.failures.counts]], [kind, [kind], [[kind, 1]]]);
    }
    for (const one of [cut, plain]) await one.close();
});

test("decisions are asked for again until their budget or their attempts are spent", async () => {
    let left = 2;
    const service = await serve((_, answer) => {
        if (left-- > 0) json(answer, 503, {});
        else json(answer, 200, { items: [decision("a"), decision("b")] });
    });
    const reports = [];
    const client = new NightlightClient(service.url, { ...quiet, budgetMs: 10_000, firstPauseMs: 1, onCall: (one) => reports.push(one) });
    const found = await client.decide(asked(new Map([["a", "stranger"], ["b", "stranger"]])));
    assert.deepEqual(found.map((one) => [one.profile_id, one.fallback]), [["a", false], ["b", false]]);
    const { ms, ...report } = reports[0];
    assert.deepEqual(report, { operation: "decide", outcome: "ok", status: 200, attempts: 3 });
    assert.ok(ms > 0);
    assert.equal(client.failures.counts.get("busy"), 2);
    left = Infinity;
    const once = new NightlightClient(service.url, { ...quiet, mostAttempts: 2, budgetMs: 60_000, firstPauseMs: 1, onCall: (one) => reports.push(one) });
    assert.ok((await once.decide(asked([["a"]])))[0].fallback);
    assert.deepEqual([reports[1].outcome, reports[1].attempts, reports[1].status], ["fallback", 2, 503]);
    await service.close();
});

test("a call is told of as it ends, and a listener that throws keeps nobody's picture back", async () => {
    const reports = [];
    const service = await answering(404, { code: "not_found", detail: "none" });
    const onCall = (one) => { reports.push([one.operation, one.outcome, one.status, one.attempts]); throw new Error("mine"); };
    const told = console.error;
    console.error = () => {};
    try {
        await thrown(new NightlightClient(service.url, { ...quiet, onCall }).image("0".repeat(32)));
        await thrown(new NightlightClient(await nobody(), { ...quiet, onCall }).deleteProfile("a"));
        await thrown(new NightlightClient(service.url, { ...quiet, onCall, token: () => { throw new Error("mine"); } }).plant("a"));
        await thrown(new NightlightClient(service.url, { ...quiet, onCall }).plant(".."));
    } finally {
        console.error = told;
    }
    assert.deepEqual(reports, [["image", "not_found", 404, 1], ["deleteProfile", "unreachable", 0, 1], ["plant", "error", 0, 0]]);
    await service.close();
});

test("items are any iterable, of objects, pairs or a Map's entries", async () => {
    const bodies = [];
    const service = await serve(async (request, answer) => {
        let text = "";
        for await (const piece of request) text += piece;
        bodies.push(JSON.parse(text));
        json(answer, 200, { items: bodies.at(-1).items.map((item) => decision(item.profile_id)) });
    });
    const client = new NightlightClient(service.url, { ...quiet, budgetMs: 60_000, viewerId: "v", relationKeys: { r1: randomBytes(32) } });
    async function* later() { yield ["a", "connection"]; yield { profile_id: "b", relation: "stranger", more: 1 }; }
    function* now() { yield ["a", "connection"]; yield ["b", "stranger"]; }
    const items = [later(), now(), new Map([["a", "connection"], ["b", "stranger"]]), new Set(now())];
    for (const given of items) assert.equal((await client.decide(asked(given))).length, 2);
    for (const body of bodies) {
        const [{ proof, ...friend }, stranger] = body.items;
        assert.deepEqual([friend, stranger, body.viewer_id], [{ profile_id: "a", relation: "connection" }, { profile_id: "b", relation: "stranger" }, "v"]);
        assert.match(proof, /^r1\./);
    }
    await client.decide(asked([["a", "connection"]], { viewerId: "w", consistency: "7", network: "n" }));
    assert.deepEqual([bodies.at(-1).viewer_id, bodies.at(-1).consistency, bodies.at(-1).network], ["w", "7", "n"]);
    function* endless() { for (;;) yield ["a"]; }
    for (const wrong of [endless(), undefined, null, "ab", 7, [7], [null], [{ profile_id: "" }], [["\ud800"]], [["x".repeat(257)]]]) {
        assert.ok(await thrown(client.decide(asked(wrong))) instanceof InvalidId);
    }
    assert.equal(bodies.length, items.length + 1);
    for (const budgetMs of [NaN, -1, "5"]) assert.ok(await thrown(client.decide(asked([], { budgetMs }))) instanceof ClientMisconfigured);
    await service.close();
});

test("what is pending is asked for again, also through an outage", async () => {
    const states = [503, "pending", "cut", "pending", "ready"];
    const times = [];
    const service = await serve((request, answer) => {
        times.push(performance.now());
        const state = states.shift();
        if (state === "cut") request.socket.destroy();
        else if (state === 503) json(answer, 503, {});
        else json(answer, 200, { ...IMAGE, state });
    });
    const client = new NightlightClient(service.url, quiet);
    assert.equal((await client.wait("0".repeat(32))).state, "ready");
    const pauses = times.slice(1).map((time, at) => time - times[at]);
    assert.ok(pauses.every((pause) => pause > 95), String(pauses));
    await service.close();
    const refused = await answering(404, { code: "not_found", detail: "none" });
    for (const wait of ["wait", "waitTrace", "waitTakedown", "waitExport"]) {
        const error = await thrown(new NightlightClient(refused.url, quiet)[wait]("0".repeat(32)));
        assert.ok(error instanceof Problem && !error.retryable);
    }
    assert.equal(refused.sent.length, 4);
    await refused.close();
});

test("what is pending for longer than was said is StillPending", async () => {
    const service = await answering(200, { ...IMAGE, state: "pending" });
    const error = await thrown(new NightlightClient(service.url, quiet).wait("0".repeat(32), { timeoutMs: 150 }));
    assert.ok(error instanceof StillPending && error.retryable && error.code === "still_pending");
    assert.ok(service.sent.length >= 2 && service.sent.length <= 4, String(service.sent.length));
    assert.ok(await thrown(new NightlightClient(service.url, quiet).wait("0".repeat(32), { timeoutMs: NaN })) instanceof ClientMisconfigured);
    await service.close();
});

test("check says what keeps a client from working", async () => {
    const keys = { r1: randomBytes(32) };
    const checked = async (answer, more = {}, ...scopes) => {
        const service = await answering(200, answer);
        const error = await thrown(new NightlightClient(service.url, { ...quiet, ...more }).check(...scopes));
        await service.close();
        return error;
    };
    const lacks = await checked(caller(), {}, "decide", "ingest", "relate");
    assert.deepEqual([lacks.status, lacks.code], [403, "forbidden"]);
    assert.match(lacks.detail, /ingest, relate/);
    assert.match((await checked(caller(), { relationKeys: keys })).message, /another key 'r1'/);
    assert.ok(await checked({ hello: "world" }) instanceof NotNightlight);
    assert.ok(await thrown(new NightlightClient(await nobody(), quiet).check()) instanceof ServiceUnreachable);
    const silent = await serve(() => {});
    assert.equal((await thrown(new NightlightClient(silent.url, { ...quiet, budgetMs: 50 }).check())).kind, "timeout");
    await silent.close();
});

test("a picture is sent as a form that any fetch takes", async () => {
    const bodies = [];
    const service = await serve(async (request, answer) => {
        const pieces = [];
        for await (const piece of request) pieces.push(piece);
        const body = new Response(Buffer.concat(pieces), { headers: { "Content-Type": request.headers["content-type"] } });
        bodies.push([request.headers, await body.formData()]);
        json(answer, 202, IMAGE);
    });
    const client = new NightlightClient(service.url, quiet);
    const bytes = randomBytes(100_000);
    for (const picture of [bytes, new Blob([bytes]), bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)]) {
        await client.upload("p", picture, { idempotencyKey: "upload-7", crop: [1, 2, 30, 40] });
        const [headers, form] = bodies.pop();
        assert.deepEqual([headers["idempotency-key"], form.get("crop")], ["upload-7", "1,2,30,40"]);
        assert.ok(Number(headers["content-length"]) > bytes.length);
        assert.deepEqual(Buffer.from(await form.get("file").arrayBuffer()), bytes);
    }
    for (const idempotencyKey of ["", "a\n", "\u00fc", " a", "a ", "x".repeat(201), 7, null]) {
        assert.ok(await thrown(client.upload("p", bytes, { idempotencyKey })) instanceof InvalidId);
    }
    for (const nothing of [undefined, null, "picture.jpg", {}, [1]]) {
        assert.ok(await thrown(client.upload("p", nothing)) instanceof InvalidId);
        assert.ok(await thrown(client.trace(nothing)) instanceof InvalidId);
    }
    assert.equal(bodies.length, 0);
    await service.close();
});
