// The receiver of webhooks, held to the vectors that Python's is held to (docs/api/webhooks.json). It needs no service.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { ClientMisconfigured, MAX_WEBHOOK_BYTES, MemorySeen, WebhookReceiver, WebhookRefused, publicKeysOf } from "../dist/index.js";

const known = JSON.parse(readFileSync(new URL("../../../docs/api/webhooks.json", import.meta.url), "utf8"));
const [first] = known.cases;
const keys = { secrets: known.secrets, publicKeys: known.public_keys, now: () => first.now };

const refused = (call, code, status) => assert.rejects(call, (error) => {
    assert.ok(error instanceof WebhookRefused, String(error));
    assert.equal(error.code, code);
    if (status) assert.equal(error.status, status);
    return true;
});

function signed(body, id = "event-1") {
    const secret = Buffer.from(known.secrets[0].slice("whsec_".length), "base64");
    const mac = createHmac("sha256", secret).update(`${id}.${first.now}.`).update(body).digest("base64");
    return { "webhook-id": id, "webhook-timestamp": String(first.now), "webhook-signature": `v1,${mac}` };
}

test("every vector ends as it does in Python", async () => {
    assert.deepEqual(publicKeysOf(known.jwks), known.public_keys);
    for (const { name, now, headers, body, result } of known.cases) {
        const receiver = new WebhookReceiver({ ...keys, now: () => now });
        if (result === "ok") assert.equal((await receiver.verify(body, headers)).type, JSON.parse(body).type, name);
        else await refused(receiver.verify(body, headers), result);
    }
});

test("an event is typed, whatever its headers and its body come as", async () => {
    const receiver = new WebhookReceiver({ ...keys, secrets: [] });
    for (const headers of [first.headers, new Headers(first.headers), { "Webhook-Id": "x", ...first.headers }]) {
        if ("Webhook-Id" in headers) delete headers["Webhook-Id"];
        const event = await receiver.verify(new TextEncoder().encode(first.body), headers);
        assert.deepEqual([event.type, event.profileId, event.imageId], ["picture.changed", "u-81", undefined]);
        assert.equal(event.happenedAt.toISOString(), "2026-11-22T09:00:00.000Z");
        assert.equal(event.sentAt.getTime(), first.now * 1000);
    }
});

test("what is no event, too large, or without headers is refused", async () => {
    const receiver = new WebhookReceiver(keys);
    for (const body of ["[]", "{}", "nonsense", '{"type":"x","data":[],"timestamp":"2026-01-01"}',
        '{"type":"x","data":{},"timestamp":"soon"}', '{"type":"x","data":{"profile_id":1},"timestamp":"2026-01-01"}']) {
        await refused(receiver.verify(body, signed(body)), "webhook_malformed", 400);
    }
    const large = "x".repeat(MAX_WEBHOOK_BYTES + 1);
    await refused(receiver.verify(large, signed(large)), "webhook_too_large", 413);
    await refused(receiver.verify(first.body, {}), "webhook_malformed", 400);
    await refused(receiver.verify(first.body, { ...first.headers, "webhook-id": ["a", "b"] }), "webhook_malformed", 400);
    const many = { ...first.headers, "webhook-signature": Array(17).fill(first.headers["webhook-signature"].split(" ")[0]).join(" ") };
    await refused(receiver.verify(first.body, many), "webhook_unsigned", 401);
});

test("a replay is refused, and an event whose taking failed comes again", async () => {
    let elapsed = 0;
    const receiver = new WebhookReceiver({ ...keys, seen: new MemorySeen(100, () => elapsed) });
    const receive = (take) => receiver.receive(first.body, first.headers, take);
    await assert.rejects(receive(() => { throw new TypeError("no database"); }), TypeError);
    let goOn;
    const slow = receive(() => new Promise((resolve) => { goOn = resolve; }));
    await new Promise((resolve) => setTimeout(resolve, 50));
    await refused(receive(() => assert.fail("two at a time")), "webhook_busy", 503);
    goOn("done");
    assert.equal(await slow, "done");
    await refused(receive(() => assert.fail("it was taken")), "webhook_replayed", 204);
    elapsed = 600;
    await refused(receiver.verify(first.body, first.headers), "webhook_replayed", 204);
    await receiver.verify(first.body, signed(first.body, "event-2"));
});

test("what is remembered is bounded, and a full memory refuses", async () => {
    let elapsed = 0;
    const receiver = new WebhookReceiver({ ...keys, seen: new MemorySeen(2, () => elapsed) });
    for (const id of ["a", "b"]) await receiver.verify(first.body, signed(first.body, id));
    await refused(receiver.verify(first.body, signed(first.body, "c")), "webhook_busy", 503);
    elapsed = 602;
    await receiver.verify(first.body, signed(first.body, "c"));
});

test("keys that are none are refused", () => {
    const [secret] = known.secrets;
    for (const options of [{}, { secrets: [] }, { secrets: ["whsec_"] }, { secrets: ["nonsense"] }, { publicKeys: [secret] },
        { secrets: ["whsec_AAAA"] }, { secrets: Array(9).fill(secret) }, { secrets: [secret], toleranceS: 0 }]) {
        assert.throws(() => new WebhookReceiver(options), (error) => {
            assert.ok(error instanceof ClientMisconfigured);
            return !error.message.includes(secret);
        });
    }
    assert.throws(() => publicKeysOf({ keys: [{ crv: "Ed25519", x: "AAAA" }] }), ClientMisconfigured);
});
