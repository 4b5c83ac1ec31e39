// What a client is given: what cannot work is an exception when it is made, and no key is in its text.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import { test } from "node:test";
import { inspect } from "node:util";

import { ProxyAgent, fetch as undiciFetch } from "undici";

import { ClientMisconfigured, InvalidId, NightlightClient, NightlightError, issueProof } from "../dist/index.js";
import { answering, serve, thrown } from "./servers.mjs";

const url = "https://nightlight.internal";
const at = (address, more = {}) => new NightlightClient(address, { token: "t", ...more });
const made = (more) => at(url, more);
const base64 = (bytes) => Buffer.from(bytes).toString("base64");

for (const wrong of [
    undefined, null, 7, "", "nightlight.internal", "ftp://x", "https://", "https:/x", "https:x", "https:///x", "https://x/?a", "https://x#a",
    "https://a:b@x", "https://@x", "https://x y", " https://x", "https://x\n", "https://x\\y", "https://[::1", "https://x:99999", "https://v\u00ef",
]) {
    test(`an address that cannot work is refused: ${JSON.stringify(wrong)}`, () => {
        assert.throws(() => at(wrong), ClientMisconfigured);
    });
}

for (const [name, wrong] of Object.entries({
    token: [undefined, "", "a b", "t\n", "\u00fc", 7, "t".repeat(8193)],
    budgetMs: [-1, NaN, Infinity, "1000", 3_600_001],
    timeoutMs: [0, NaN, -1, "5"],
    stepMs: [0, NaN],
    firstPauseMs: [0, NaN],
    mostAttempts: [0, 1.5, NaN, "3"],
    headers: [{ "a b": "c" }, { Authorization: "x" }, { Host: "x" }, { "X-A": "v\n" }, { "X-A": 7 }],
    fetch: ["fetch", {}],
    onCall: ["log"],
    onFailure: [{}],
    budget: [1000],
    relation_keys: ["r1:x"],
    relationKeys: ["", {}, new Map(), 7, null, [], randomBytes(32), "r1", "r1:", "r1:AAAA", "R1:" + base64(randomBytes(32)), { r1: randomBytes(31) },
        { r1: 7 }, { r1: "not base64".repeat(9) }, `r1:${base64(randomBytes(32))}, r1:${base64(randomBytes(32))}`],
})) {
    test(`an option that cannot work is refused: ${name}`, () => {
        for (const value of wrong) {
            assert.throws(() => made({ [name]: value }), (error) => error instanceof ClientMisconfigured && !error.retryable, inspect(value));
        }
    });
}

test("a viewer who cannot be is refused, and options that are none are", () => {
    assert.throws(() => made({ viewerId: ".." }), InvalidId);
    assert.throws(() => new NightlightClient(url), ClientMisconfigured);
    assert.throws(() => new NightlightClient(url, null), ClientMisconfigured);
});

test("no token and no key is in the text of an error, nor in what a client prints", () => {
    const secret = base64(randomBytes(31));
    for (const relationKeys of [`r1:${secret}`, { r1: secret }, new Map([["r1", Buffer.from(secret, "base64")]]), `${secret}:r1`]) {
        assert.throws(() => made({ relationKeys }), (error) => !`${error.message}${inspect(error)}`.includes(secret.slice(0, 12)));
    }
    const key = base64(randomBytes(32));
    const printed = inspect(made({ token: "very-secret", relationKeys: `r1:${key}` }), { depth: 9, showHidden: true });
    assert.ok(!printed.includes("very-secret") && !printed.includes(key));
});

test("keys are text, a Map or an object, and sign alike", async () => {
    const bytes = randomBytes(32);
    const other = randomBytes(40);
    const ring = `r1:${base64(bytes)}, r2:${base64(other)}`;
    const forms = [
        ring, new Map([["r1", bytes], ["r2", other]]), { r1: bytes, r2: base64(other) }, new Map([["r1", base64(bytes)], ["r2", other]]),
    ];
    const proofs = await Promise.all(forms.map((keys) => issueProof(keys, "v", "p", "connection", 1_800_000_000, 300)));
    assert.equal(new Set(proofs).size, 1);
    assert.match(proofs[0], /^r1\.1800000000\.1800000300\.[A-Za-z0-9_-]{22}$/);
    // An object lists "10" before "r1", whatever was written first.
    assert.throws(() => made({ relationKeys: { r1: bytes, 10: other } }), /a Map or text/);
    assert.ok(made({ relationKeys: { 10: other } }));
});

test("keys that a function gives are read again when they are others", async () => {
    const rings = ["r1", "r2"].map((id) => `${id}:${base64(randomBytes(32))}`);
    let ring = rings[0];
    const proofs = [];
    const fetch = async (_, { body }) => {
        const { items } = JSON.parse(body);
        proofs.push(items[0].proof.slice(0, 2));
        return Response.json({ items: [{ profile_id: "p", url: "https://x", expires_at: 1, blurhash: "L" }] });
    };
    const client = made({ relationKeys: () => ring, viewerId: "v", fetch });
    const ask = () => client.decide({ viewer: "peer", context: "list", items: [["p", "connection"]] });
    await ask();
    ring = rings[1];
    await ask();
    ring = "r3:short";
    assert.ok(await thrown(ask()) instanceof ClientMisconfigured);
    assert.deepEqual(proofs, ["r1", "r2"]);
    assert.throws(() => made({ relationKeys: () => "r1" }), ClientMisconfigured);
});

test("a proof of what cannot be is refused", async () => {
    const keys = { r1: randomBytes(32) };
    for (const life of [0, 3601, NaN, 1.5]) assert.ok(await thrown(issueProof(keys, "v", "p", "connection", 1, life)) instanceof NightlightError);
    assert.ok(await thrown(issueProof({}, "v", "p", "connection", 1, 60)) instanceof ClientMisconfigured);
    assert.ok(await thrown(issueProof(keys, "v\n", "p", "connection", 1, 60)) instanceof InvalidId);
});

test("headers and tokens go with every request, and a token is asked for each time", async () => {
    const service = await answering(204, "");
    const tokens = ["one", "two"];
    const headers = { "X-Environment": "staging", "user-agent": "ours" };
    const client = at(`${service.url}/behind/`, { token: async () => tokens.shift(), headers });
    await client.deleteProfile("a");
    await client.deleteProfile("a");
    assert.deepEqual(service.sent.map((one) => one.headers.authorization), ["Bearer one", "Bearer two"]);
    assert.deepEqual(service.sent.map((one) => one.headers["x-environment"]), ["staging", "staging"]);
    assert.deepEqual(service.sent.map((one) => [one.headers["user-agent"], one.url]), Array(2).fill(["ours", "/behind/v1/profiles/a"]));
    assert.ok(await thrown(client.deleteProfile("a")) instanceof ClientMisconfigured);  // token() gave undefined
    const mine = new Error("no token today");
    const without = at(service.url, { token: () => { throw mine; } });
    assert.equal(await thrown(without.deleteProfile("a")), mine);
    assert.equal(await thrown(without.decide({ viewer: "peer", context: "list", items: [] })), mine);
    await service.close();
});

test("a fetch of the platform's own carries every request", async () => {
    const sent = [];
    const fetch = async (address, init) => {
        sent.push([init.method, address, init.redirect]);
        return { status: 204, statusText: "", headers: new Map(), arrayBuffer: async () => new ArrayBuffer(0) };
    };
    const client = made({ fetch });
    await client.deleteProfile("a");
    await client.plant("a");
    assert.deepEqual(sent, [["DELETE", `${url}/v1/profiles/a`, "manual"], ["POST", `${url}/v1/canaries`, "manual"]]);
});

test("a proxy is the business of the platform's fetch", async () => {
    const service = await answering(202, { image_id: "0", profile_id: "p", state: "pending" });
    const tunnels = [];
    const proxy = await serve(() => {});
    proxy.server.on("connect", (request, socket) => {
        tunnels.push(request.url);
        const upstream = connect(new URL(service.url).port, "127.0.0.1", () => socket.write("HTTP/1.1 200 OK\r\n\r\n"));
        upstream.pipe(socket).pipe(upstream);
    });
    const dispatcher = new ProxyAgent(proxy.url);
    const client = at("http://nightlight.internal", { fetch: (address, init) => undiciFetch(address, { ...init, dispatcher }) });
    assert.equal((await client.upload("p", randomBytes(1000))).state, "pending");
    assert.deepEqual(tunnels, ["nightlight.internal:80"]);
    assert.ok(Number(service.sent[0].headers["content-length"]) > 1000);
    await dispatcher.destroy();
    for (const one of [service, proxy]) await one.close();
});
