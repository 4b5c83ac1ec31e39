// The platform's own tests: Python serves the fake over HTTP (fake_server.py), and it decides as a Nightlight does.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { after, before, test } from "node:test";

import { NightlightClient } from "nightlight-client";
import { createApp } from "./app.mjs";

const PNG = Buffer.concat([Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]), Buffer.alloc(64)]);
const NIGHTLIGHT_RELATIONS_KEYS = `r1:${randomBytes(32).toString("base64")}`;
let fake, url, web, site;

before(async () => {
    fake = spawn(process.env.PYTHON ?? "python3", ["fake_server.py"], {
        env: { ...process.env, NIGHTLIGHT_RELATIONS_KEYS }, stdio: ["ignore", "pipe", "inherit"],
    });
    url = String((await once(fake.stdout, "data"))[0]).trim();
    const client = new NightlightClient(url, { token: "fake", relationKeys: NIGHTLIGHT_RELATIONS_KEYS, onFailure: () => {} });
    for (const profile of ["ada", "ben", "eve"]) await client.declare(profile, { band: "age_13_15", assurance: "verified", region: "eu" });
    web = (await createApp(client)).listen(0, "127.0.0.1");
    await once(web, "listening");
    site = `http://127.0.0.1:${web.address().port}`;
});

after(() => {
    fake.kill();
    web.closeAllConnections();
    web.close();
});

const upload = (viewer, body) => fetch(`${site}/me/picture`, { method: "PUT", headers: { "X-User": viewer }, body });

async function tiers(viewer) {
    const people = await (await fetch(`${site}/people`, { headers: { "X-User": viewer } })).json();
    const shown = async ({ id, picture }) => [id, (await (await fetch(`${url}/shown?${new URLSearchParams({ url: picture })}`)).json()).tier];
    return Object.fromEntries(await Promise.all(people.map(shown)));
}

test("a friend sees more than a stranger", async () => {
    assert.equal((await upload("ada", PNG)).status, 202);
    assert.deepEqual(await tiers("ada"), { ada: "full", ben: "placeholder", eve: "placeholder" });
    assert.equal((await tiers("ben")).ada, "medium");
    assert.equal((await tiers("eve")).ada, "tiny");
});

test("a file that is no picture is refused in words", async () => {
    const answer = await upload("ada", "no picture");
    assert.deepEqual([answer.status, (await answer.json()).detail.includes("not a picture")], [415, true]);
});

test("in an outage the page stands, and uploads wait", async () => {
    fake.kill();
    await once(fake, "exit");
    const people = await (await fetch(`${site}/people`, { headers: { "X-User": "ben" } })).json();
    assert.ok(people.length === 3 && people.every(({ picture }) => picture.startsWith("data:image/webp")));
    const answer = await upload("ada", PNG);
    assert.deepEqual([answer.status, answer.headers.get("retry-after")], [503, "5"]);
});
