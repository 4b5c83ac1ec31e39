// Every case of the golden table, asked of the service that NIGHTLIGHT_URL and NIGHTLIGHT_TOKEN name: its clock stands
// still, and its keys are the table's (tests/support/golden.py). Prints how many answers were the table's.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { NightlightClient } from "../dist/index.js";

const golden = JSON.parse(readFileSync(new URL("../../../docs/api/decisions.json", import.meta.url), "utf8"));
const { NIGHTLIGHT_URL: url, NIGHTLIGHT_TOKEN: token, NIGHTLIGHT_ORIGIN: origin } = process.env;
// The keys are those of the table, which is checked; and a client without keys leaves the table's proofs as they are, for
// its own would be of today.
const { subject } = await new NightlightClient(url, { token, relationKeys: golden.relation_keys, budgetMs: 300_000 }).check("decide");
const client = new NightlightClient(url, { token, budgetMs: 300_000 });

const { etag, bundle } = await client.policyBundle();
assert.equal(await client.policyBundle(etag), undefined);
assert.deepEqual(await client.bundleInUse((await client.feed()).active), bundle);

let answered = 0;
for (const { viewer, context, viewer_id: viewerId, at_most: atMost, items, answers } of golden.cases) {
    const found = await client.decide({ viewer, context, items, viewerId: viewerId ?? undefined, atMost });
    const told = found.map((one) => [one.url.replace(origin, ""), one.expires_at, one.capture]);
    assert.deepEqual(told, answers);
    assert.ok(found.every((one) => !one.fallback && one.url.startsWith(origin)));
    answered += found.length;
}
console.log(JSON.stringify({ subject, cases: golden.cases.length, answered }));
