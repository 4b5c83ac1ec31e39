// Nightlight's HTTP client. The types of every call come from the service's own OpenAPI document (schema.d.ts, made by
// `npm run generate`); what is written here is what a document cannot say: that decisions have a time in which they
// are made, and that whoever has no answer by then shows the placeholder.

import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./schema.js";
import { PLACEHOLDER_BLURHASH, PLACEHOLDER_URL } from "./placeholder.js";
import { type Failure, Failures } from "./failures.js";
import { checked, isAccount } from "./ids.js";
import { Problem } from "./problems.js";
import { type Keys, issueProof } from "./proofs.js";

export type { Failure, Failures, Kind } from "./failures.js";
export { Problem } from "./problems.js";
export { issueProof } from "./proofs.js";
export type { Keys } from "./proofs.js";
export type { components, paths } from "./schema.js";
export { MAX_WEBHOOK_BYTES, MemorySeen, WebhookReceiver, WebhookRefused, publicKeysOf } from "./webhooks.js";
export type { SeenEvents, WebhookCode, WebhookEvent, WebhookOptions } from "./webhooks.js";

type Schemas = components["schemas"];
export type Declaration = Schemas["ProfileBody"];
export type Profile = Schemas["ProfileAnswer"];
export type Image = Schemas["ImageAnswer"];
/** A person's own data; `state` is pending, ready or failed. */
export type Export = Schemas["ExportAnswer"];
/** A takedown notice; `state` is pending, in_force, rejected, failed, undoing or undone. */
export type Takedown = Schemas["TakedownAnswer"];
export type TakedownMatches = Schemas["TakedownMatchesAnswer"];
/** What a reviewer sees of a notice: softened pictures of it and of its matches, and nobody's id. */
export type NoticeReview = Schemas["TakedownReviewAnswer"];
/** What a notice says; it names no person. `received_at` is when its clock began (RFC 3339). */
export type Notice = { kind: "intimate_image" | "child_abuse" | "other"; reference: string; received_at?: string };
/** One profile, and what the viewer is to it. */
export type Item = Schemas["ItemBody"];
/** `fallback` says that the service did not answer in time: the URL is a placeholder that needs no service. */
export type Decision = Schemas["DecisionAnswer"] & { fallback: boolean };

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
    /** Told of what keeps the service from being reached, each kind once a minute; `console.error` if unset. */
    onFailure?: (failure: Failure) => void;
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
    /** What went wrong so far, by kind. */
    readonly failures: Failures;

    constructor(baseUrl: string, private readonly options: Options) {
        const host = hostOf(baseUrl);
        const tell = options.onFailure ?? (({ kind, detail, count }: Failure) => {
            console.error(`nightlight: ${host} fails: ${kind}, ${count} times (${detail})`);
        });
        this.failures = new Failures(tell);
        this.http = createClient<paths>({ baseUrl });
        this.http.use({
            onRequest: async ({ request, params }) => {
                checked(params.path ?? {});  // of every call, also those that are made by `http` itself
                const { token } = this.options;
                request.headers.set("Authorization", `Bearer ${typeof token === "string" ? token : await token()}`);
                return request;
            },
            onError: ({ error }) => { this.failures.noteError(error); },
        });
    }

    /** Declare a profile, or assert its band again before it lapses. */
    async declare(profileId: string, body: Declaration): Promise<Profile> {
        return this.told(await this.http.PUT("/v1/profiles/{profile_id}", { params: at(profileId), body }));
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
        return this.told(answer);
    }

    /** Return how an upload is getting on. */
    async image(imageId: string): Promise<Image> {
        checked({ image_id: imageId });
        return this.told(await this.http.GET("/v1/images/{image_id}", { params: { path: { image_id: imageId } } }));
    }

    /** Delete a profile and all its images. */
    async deleteProfile(profileId: string): Promise<void> {
        this.done(await this.http.DELETE("/v1/profiles/{profile_id}", { params: at(profileId) }));
    }

    /**
     * Deactivate an account: all of it is kept, and shown to nobody, its owner included. Returns the consistency token.
     */
    async deactivate(profileId: string): Promise<string> {
        return this.done(await this.http.PUT("/v1/profiles/{profile_id}/deactivation", { params: at(profileId) }));
    }

    /** Take a deactivation back: the picture is shown again, without a new upload. Returns the consistency token. */
    async reactivate(profileId: string): Promise<string> {
        return this.done(await this.http.DELETE("/v1/profiles/{profile_id}/deactivation", { params: at(profileId) }));
    }

    /** Make every URL that was given out of a profile's pictures count for nothing. Returns the consistency token. */
    async revoke(profileId: string): Promise<string> {
        return this.done(await this.http.POST("/v1/profiles/{profile_id}/revocations", { params: at(profileId) }));
    }

    /** Ask for a person's own data; `sealTo` is an age recipient that the archive is encrypted to. */
    async exportProfile(profileId: string, sealTo?: string): Promise<Export> {
        const body = { seal_to: sealTo ?? null };
        return this.told(await this.http.POST("/v1/profiles/{profile_id}/export", { params: at(profileId), body }));
    }

    /** Return how the export of a profile gets on. */
    async exportStatus(profileId: string): Promise<Export> {
        return this.told(await this.http.GET("/v1/profiles/{profile_id}/export", { params: at(profileId) }));
    }

    /** Return the archive of an export that is ready: a ZIP file, or one that is sealed. */
    async exportFile(profileId: string): Promise<Blob> {
        const answer = await this.http.GET("/v1/profiles/{profile_id}/export/file", {
            params: at(profileId), parseAs: "blob",
        });
        if (!answer.response.headers.has("Repr-Digest")) throw this.problem(answer);
        return this.told(answer as Answered<unknown> as Answered<Blob>);
    }

    /** Remove the export of a profile before its day is over. */
    async deleteExport(profileId: string): Promise<void> {
        this.done(await this.http.DELETE("/v1/profiles/{profile_id}/export", { params: at(profileId) }));
    }

    /** Place a notice on a picture, or on an image of ours by its id; a worker hides every copy. */
    async placeTakedown(picture: Blob | string, notice: Notice): Promise<Takedown> {
        if (!(picture instanceof Blob)) {
            checked({ image_id: picture });
            return this.told(await this.http.POST("/v1/takedowns", { body: { image_id: picture, ...notice } }));
        }
        const answer = await this.http.POST("/v1/takedowns", {
            body: { file: "" },
            bodySerializer: () => {
                const form = new FormData();
                form.append("file", picture, "picture");
                form.append("notice", JSON.stringify(notice));
                return form;
            },
        });
        return this.told(answer);
    }

    /** Return how a notice stands, and its matches. */
    async takedownStatus(takedownId: string): Promise<TakedownMatches> {
        return this.told(await this.http.GET("/v1/takedowns/{takedown_id}", { params: of(takedownId) }));
    }

    /** Say that an image is the notice's picture: it stays hidden. */
    async confirmTakedown(takedownId: string, imageId: string): Promise<void> {
        await this.verdict(takedownId, imageId, "confirmed");
    }

    /** Say that an image is another picture: it is rendered again. */
    async clearTakedown(takedownId: string, imageId: string): Promise<void> {
        await this.verdict(takedownId, imageId, "cleared");
    }

    /** Undo a wrong notice: a worker renders again whatever nothing else keeps hidden. */
    async undoTakedown(takedownId: string, why: string): Promise<Takedown> {
        const params = of(takedownId);
        return this.told(await this.http.POST("/v1/takedowns/{takedown_id}/undo", { params, body: { why } }));
    }

    /** Ask for softened pictures of a notice and of its next matches; the token needs the scope `review`. */
    async askTakedownReview(takedownId: string): Promise<NoticeReview> {
        return this.told(await this.http.POST("/v1/takedowns/{takedown_id}/review", { params: of(takedownId) }));
    }

    /** Return a notice and its matches as a reviewer sees them, with the softened pictures that there are. */
    async takedownReview(takedownId: string): Promise<NoticeReview> {
        return this.told(await this.http.GET("/v1/takedowns/{takedown_id}/review", { params: of(takedownId) }));
    }

    /** Return a softened picture of a review while it is there, by the `review_id` that the review names. */
    async reviewPicture(takedownId: string, reviewId: string): Promise<Blob> {
        checked({ takedown_id: takedownId, review_id: reviewId });
        const answer = await this.http.GET("/v1/takedowns/{takedown_id}/review/pictures/{review_id}", {
            params: { path: { takedown_id: takedownId, review_id: reviewId } }, parseAs: "blob",
        });
        if (!answer.response.headers.get("Content-Type")?.startsWith("image/")) throw this.problem(answer);
        return this.told(answer as Answered<unknown> as Answered<Blob>);
    }

    private async verdict(takedownId: string, imageId: string, verdict: "confirmed" | "cleared"): Promise<void> {
        checked({ takedown_id: takedownId, image_id: imageId });
        const path = { takedown_id: takedownId, image_id: imageId };
        const call = "/v1/takedowns/{takedown_id}/matches/{image_id}";
        this.done(await this.http.POST(call, { params: { path }, body: { verdict } }));
    }

    /** Keep a viewer from seeing a profile, whatever else is said of the two. Returns the consistency token. */
    async block(profileId: string, viewerId: string): Promise<string> {
        checked({ profile_id: profileId, viewer_id: viewerId });
        return this.done(await this.http.POST("/v1/blocks", { body: { profile_id: profileId, viewer_id: viewerId } }));
    }

    /** Take a block away. Returns the consistency token. */
    async unblock(profileId: string, viewerId: string): Promise<string> {
        checked({ profile_id: profileId, viewer_id: viewerId });
        const path = { profile_id: profileId, viewer_id: viewerId };
        return this.done(await this.http.DELETE("/v1/blocks/{profile_id}/{viewer_id}", { params: { path } }));
    }

    /**
     * Return one decision for each item, in order; at most 500. Asks again, with pauses, while there is time; after the
     * budget every item is the placeholder (`fallback`). Throws Problem where the request itself is refused.
     */
    async decide(asked: Asked): Promise<Decision[]> {
        if (asked.items.length > MAX_ITEMS) throw new RangeError(`at most ${MAX_ITEMS} items`);
        for (const [name, value] of [["viewer_id", asked.viewerId], ["network", asked.network]] as const) {
            if (value !== undefined) checked({ [name]: value });
        }
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

    private told<T>(answer: Answered<T>): T {
        if (!answer.response.ok || typeof answer.data !== "object" || answer.data === null) throw this.problem(answer);
        return answer.data;
    }

    private done(answer: Answered<unknown>): string {
        if (answer.response.status !== 204) throw this.problem(answer);
        return answer.response.headers.get("Nightlight-Consistency") ?? "";
    }

    /** Return the Problem that an answer is; one that is none of the service's is noted. */
    private problem(answer: Answered<unknown>): Problem {
        const { status, statusText } = answer.response;
        const said = (typeof answer.error === "object" && answer.error !== null ? answer.error : {}) as Partial<Schemas["Problem"]>;
        if (said.code !== undefined) return new Problem(status, said.code, said.detail ?? statusText);
        if (AGAIN.has(status)) return new Problem(status, "http", statusText);
        const kind = answer.response.headers.get("Content-Type") ?? "of no kind";
        this.failures.note("not_nightlight", `${status} ${kind}`);
        return new Problem(status, "not_nightlight", `${status} ${kind}: this is no answer of Nightlight's, is it the right host?`);
    }

    private async attempt(body: Schemas["DecisionsBody"], leftMs: number): Promise<Decision[] | undefined> {
        const signal = AbortSignal.timeout(Math.max(1, Math.floor(leftMs)));
        try {
            const answer = await this.http.POST("/v1/decisions", { body, signal });
            if (AGAIN.has(answer.response.status)) {
                this.failures.note("busy", `status ${answer.response.status}`);
                return undefined;
            }
            const { items } = this.told(answer);
            const same = Array.isArray(items) && items.length === body.items.length;
            if (!same || items.some((one, at) => one?.profile_id !== body.items[at]?.profile_id)) {
                this.failures.note("not_nightlight", "another shape, or other profiles than were asked for");
                return undefined;
            }
            // An earlier service does not say whether it may be captured: then it may not.
            return items.map((one) => ({ ...one, capture: one.capture ?? "forbid", fallback: false }));
        } catch (error) {
            if (error instanceof Problem) throw error;
            // No connection, or cut off, or late: noted by `onError`. An answer that is no JSON is not.
            if (error instanceof SyntaxError) this.failures.noteError(error);
            return undefined;
        }
    }

    private async proved(item: Item, viewerId?: string): Promise<Item> {
        const relation = item.relation ?? "stranger";
        const keys = this.options.relationKeys;
        if (item.proof || !keys || !viewerId || UNPROVEN.has(relation) || !isAccount(item.profile_id)) return item;
        const now = Math.floor(Date.now() / 1000);
        return { ...item, proof: await issueProof(keys, viewerId, item.profile_id, relation, now, PROOF_S) };
    }
}

function at(profileId: string) {
    checked({ profile_id: profileId });
    return { path: { profile_id: profileId } };
}

function of(takedownId: string) {
    checked({ takedown_id: takedownId });
    return { path: { takedown_id: takedownId } };
}

interface Answered<T> {
    data?: T;
    error?: unknown;
    response: Response;
}

function hostOf(baseUrl: string): string {
    try {
        const { protocol, host } = new URL(baseUrl);
        return `${protocol}//${host}`;
    } catch {
        return "the service";
    }
}

function fallback(items: Item[]): Decision[] {
    const until = Math.floor(Date.now() / 1000) + FALLBACK_S;
    return items.map(({ profile_id }) => ({
        profile_id, url: PLACEHOLDER_URL, expires_at: until, blurhash: PLACEHOLDER_BLURHASH, capture: "forbid", fallback: true,
    }));
}
