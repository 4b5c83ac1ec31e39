// Nightlight's HTTP client. The types of every call come from the service's own OpenAPI document (schema.d.ts, made by
// `npm run generate`); what is written here is what a document cannot say: that decisions have a time in which they
// are made, and that whoever has no answer by then shows the placeholder.

import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./schema.js";
import { PLACEHOLDER_BLURHASH, PLACEHOLDER_URL } from "./placeholder.js";
import { type Keys, prove } from "./proofs.js";

export { prove } from "./proofs.js";
export type { Keys } from "./proofs.js";
export type { components, paths } from "./schema.js";

type Schemas = components["schemas"];
export type Declaration = Schemas["ProfileBody"];
export type Profile = Schemas["ProfileAnswer"];
export type Image = Schemas["ImageAnswer"];
/** One profile, and what the viewer is to it. */
export type Item = Schemas["ItemBody"];
/** `fallback` says that the service did not answer in time: the URL is a placeholder that needs no service. */
export type Decision = Schemas["DecisionAnswer"] & { fallback: boolean };

/** The service's answer to a request that it did not carry out (RFC 9457). */
export class Problem extends Error {
    constructor(readonly status: number, readonly code: string, readonly detail: string) {
        super(`${status} ${code}: ${detail}`);
        this.name = "Problem";
    }
}

export interface Options {
    /** A bearer token, or what gives one at each call. */
    token: string | (() => string | Promise<string>);
    /**
     * Keys that the service checks relation proofs with: with them this client vouches for every relation that it is
     * given. Give it what your own graph says, never what a viewer says.
     */
    relationKeys?: Keys;
    /** How long decisions may take with every attempt, in milliseconds; 1000 if unset. */
    budgetMs?: number;
}

export interface Asked {
    /** What is assured of the viewer: peer, adult, unverified or signed_out. */
    viewer: string;
    context: string;
    items: Item[];
    viewerId?: string;
    network?: string;
    consistency?: string;
    budgetMs?: number;
}

const MAX_ITEMS = 500;
const FALLBACK_S = 30;
const PROOF_S = 300;
const PAUSE_MS = 50;
// Statuses that may be another the next time: too many requests, and what a proxy or the service says of an outage.
const AGAIN = new Set([429, 502, 503, 504]);
const UNPROVEN = new Set(["stranger", "blocked"]);

export class NightlightClient {
    /** Every call of the API, typed: `client.http.GET("/v1/images/{image_id}", ...)`. */
    readonly http: Client<paths>;

    constructor(baseUrl: string, private readonly options: Options) {
        this.http = createClient<paths>({ baseUrl });
        this.http.use({
            onRequest: async ({ request }) => {
                const { token } = this.options;
                request.headers.set("Authorization", `Bearer ${typeof token === "string" ? token : await token()}`);
                return request;
            },
        });
    }

    /** Declare a profile, or assert its band again before it lapses. */
    async declare(profileId: string, body: Declaration): Promise<Profile> {
        return told(await this.http.PUT("/v1/profiles/{profile_id}", { params: at(profileId), body }));
    }

    /** Upload a profile's image; when this returns it is safely stored and will be rendered. */
    async upload(profileId: string, picture: Blob, idempotencyKey?: string): Promise<Image> {
        const answer = await this.http.POST("/v1/profiles/{profile_id}/image", {
            params: { ...at(profileId), header: idempotencyKey ? { "Idempotency-Key": idempotencyKey } : {} },
            body: { file: "" },
            bodySerializer: () => {
                const form = new FormData();
                form.append("file", picture, "picture");
                return form;
            },
        });
        return told(answer);
    }

    /** Return how an upload is getting on. */
    async image(imageId: string): Promise<Image> {
        return told(await this.http.GET("/v1/images/{image_id}", { params: { path: { image_id: imageId } } }));
    }

    /** Delete a profile and all its images. */
    async deleteProfile(profileId: string): Promise<void> {
        done(await this.http.DELETE("/v1/profiles/{profile_id}", { params: at(profileId) }));
    }

    /** Make every URL that was given out of a profile's pictures count for nothing. Returns the consistency token. */
    async revoke(profileId: string): Promise<string> {
        return done(await this.http.POST("/v1/profiles/{profile_id}/revocations", { params: at(profileId) }));
    }

    /** Keep a viewer from seeing a profile, whatever else is said of the two. Returns the consistency token. */
    async block(profileId: string, viewerId: string): Promise<string> {
        return done(await this.http.POST("/v1/blocks", { body: { profile_id: profileId, viewer_id: viewerId } }));
    }

    /** Take a block away. Returns the consistency token. */
    async unblock(profileId: string, viewerId: string): Promise<string> {
        const path = { profile_id: profileId, viewer_id: viewerId };
        return done(await this.http.DELETE("/v1/blocks/{profile_id}/{viewer_id}", { params: { path } }));
    }

    /**
     * Return one decision for each item, in order; at most 500. Asks again, with pauses, while there is time; after the
     * budget every item is the placeholder (`fallback`). Throws Problem where the request itself is refused.
     */
    async decide(asked: Asked): Promise<Decision[]> {
        if (asked.items.length > MAX_ITEMS) throw new RangeError(`at most ${MAX_ITEMS} items`);
        const end = performance.now() + (asked.budgetMs ?? this.options.budgetMs ?? 1000);
        const items = await Promise.all(asked.items.map((item) => this.proved(item, asked.viewerId)));
        const body = {
            viewer: asked.viewer,
            context: asked.context,
            items,
            ...(asked.viewerId === undefined ? {} : { viewer_id: asked.viewerId }),
            ...(asked.network === undefined ? {} : { network: asked.network }),
            ...(asked.consistency === undefined ? {} : { consistency: asked.consistency }),
        };
        for (let pause = PAUSE_MS; ; pause *= 2) {
            const found = await this.attempt(body, end - performance.now());
            if (found) return found;
            const wait = Math.random() * 2 * pause;
            if (wait >= end - performance.now()) return fallback(asked.items);
            await new Promise((resolve) => setTimeout(resolve, wait));
        }
    }

    private async attempt(body: Schemas["DecisionsBody"], leftMs: number): Promise<Decision[] | undefined> {
        const signal = AbortSignal.timeout(Math.max(1, Math.floor(leftMs)));
        try {
            const answer = await this.http.POST("/v1/decisions", { body, signal });
            if (AGAIN.has(answer.response.status)) return undefined;
            const { items } = told(answer);
            const same = items.length === body.items.length;
            if (!same || items.some((one, at) => one.profile_id !== body.items[at]?.profile_id)) return undefined;
            return items.map((one) => ({ ...one, fallback: false }));
        } catch (error) {
            if (error instanceof Problem) throw error;
            return undefined; // no connection, cut off, late, or not what was asked for
        }
    }

    private async proved(item: Item, viewerId?: string): Promise<Item> {
        const relation = item.relation ?? "stranger";
        const keys = this.options.relationKeys;
        if (item.proof || !keys || !viewerId || UNPROVEN.has(relation)) return item;
        const now = Math.floor(Date.now() / 1000);
        return { ...item, proof: await prove(keys, viewerId, item.profile_id, relation, now, PROOF_S) };
    }
}

function at(profileId: string) {
    return { path: { profile_id: profileId } };
}

interface Answered<T> {
    data?: T;
    error?: unknown;
    response: Response;
}

function told<T>(answer: Answered<T>): T {
    if (!answer.response.ok || answer.data === undefined) throw problem(answer);
    return answer.data;
}

function done(answer: Answered<unknown>): string {
    if (!answer.response.ok) throw problem(answer);
    return answer.response.headers.get("Nightlight-Consistency") ?? "";
}

function problem(answer: Answered<unknown>): Problem {
    const said = (typeof answer.error === "object" && answer.error !== null ? answer.error : {}) as Partial<Schemas["Problem"]>;
    return new Problem(answer.response.status, said.code ?? "http", said.detail ?? answer.response.statusText);
}

function fallback(items: Item[]): Decision[] {
    const until = Math.floor(Date.now() / 1000) + FALLBACK_S;
    return items.map(({ profile_id }) => ({
        profile_id, url: PLACEHOLDER_URL, expires_at: until, blurhash: PLACEHOLDER_BLURHASH, fallback: true,
    }));
}
