// A page of people with Express: one client for the process, one question for each page.

import express from "express";
import { NightlightClient, NightlightError, Problem } from "nightlight-client";

// Your own: who is on the page, and who is connected with whom.
const PEOPLE = ["ada", "ben", "eve"];
const FRIENDS = new Set(["ada ben", "ben ada"]);
// What the owner of a picture is told as the service says it: too large, of no known format, refused.
const OWNER_ERRORS = new Set([413, 415, 422]);

/** Who is signed in: whoever your session says. Never take it from a header that a viewer can set. */
function signedIn(request, response, next) {
    request.viewer = request.get("X-User");
    if (PEOPLE.includes(request.viewer)) next();
    else response.sendStatus(401);
}

/** What a viewer is to a profile, by your own graph. */
function relation(viewer, profile) {
    if (viewer === profile) return "self";
    return FRIENDS.has(`${viewer} ${profile}`) ? "connection" : "stranger";
}

/** The application. It begins only if the service is the right one: a wrong host, token or key throws here. */
export async function createApp(client) {
    await client.check("ingest", "decide");
    const app = express();

    app.get("/people", signedIn, async ({ viewer }, response) => {
        const items = PEOPLE.map((profile) => [profile, relation(viewer, profile)]);
        const decisions = await client.decide({ viewer: "peer", context: "list", viewerId: viewer, items }); // placeholders after its budget
        response.json(decisions.map(({ profile_id, url, blurhash }) => ({ id: profile_id, picture: url, blurhash })));
    });

    app.put("/me/picture", signedIn, express.raw({ type: () => true, limit: "20mb" }), async ({ viewer, body }, response) => {
        const { image_id } = await client.upload(viewer, body);
        response.status(202).json({ image_id });
    });

    app.use((error, _request, response, next) => {
        if (!(error instanceof NightlightError)) return next(error);
        if (error instanceof Problem && OWNER_ERRORS.has(error.status)) return response.status(error.status).json({ detail: error.detail });
        if (error.retryable) response.set("Retry-After", "5");
        return response.status(503).json({ detail: "try again later" });
    });
    return app;
}

if (process.argv[2] === "serve") {
    const { NIGHTLIGHT_URL: url, NIGHTLIGHT_TOKEN: token, NIGHTLIGHT_RELATIONS_KEYS: relationKeys, PORT } = process.env;
    (await createApp(new NightlightClient(url, { token, relationKeys }))).listen(Number(PORT), "127.0.0.1");
}
