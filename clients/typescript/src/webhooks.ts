// Takes Nightlight's events, as clients/python/nightlight_client/webhooks.py does: verifies who sent them, refuses what is
// old or was seen before, and reads them. By the Standard Webhooks specification (version 1.0.0), with WebCrypto.

import { webcrypto as crypto } from "node:crypto";

import { ClientMisconfigured, Problem } from "./errors.js";

/** Ours have a few hundred bytes; the specification proposes at most 20 kB. */
export const MAX_WEBHOOK_BYTES = 65_536;
const TOLERANCE_S = 300;
const MAX_KEYS = 8;
const MAX_SIGNATURES = 16;
const MAX_HEADER = 4096;
// Whoever takes longer over an event than this may be given it twice.
const CLAIM_S = 120;
const HMAC = { name: "HMAC", hash: "SHA-256" };
const ED25519 = { name: "Ed25519" };

export type WebhookCode =
    | "webhook_too_large" | "webhook_malformed" | "webhook_expired" | "webhook_unsigned" | "webhook_busy"
    | "webhook_replayed";

/**
 * A request that is no event of ours, or not one to act on. Answer `status`: 204 for an event that was taken before
 * (`webhook_replayed`), 503 for one that is being taken at this moment, and 4xx for what nobody of ours has sent.
 */
export class WebhookRefused extends Problem {
    declare readonly code: WebhookCode;

    constructor(status: number, code: WebhookCode, detail: string) {
        super(status, code, detail, [], "WebhookRefused");
    }
}

/** An event. A later service may send types that you do not know: answer 204 to them. */
export interface WebhookEvent {
    eventId: string;
    type: "picture.changed" | "picture.taken_down" | "picture.restored" | "takedown.set_aside" | "webhook.test" | (string & {});
    /** When it happened, and when this delivery was made. */
    happenedAt: Date;
    sentAt: Date;
    profileId?: string;
    imageId?: string;
    takedownId?: string;
    /** All that it says. */
    data: Readonly<Record<string, unknown>>;
}

/**
 * Remembers words for a time: where several processes take events, a store that they share. With Redis: `SET key 1 NX EX
 * seconds`, `EXISTS key`, `DEL key`. Each must be atomic.
 */
export interface SeenEvents {
    /** Remember a word; say whether it was new. */
    add(word: string, seconds: number): boolean | Promise<boolean>;
    has(word: string): boolean | Promise<boolean>;
    discard(word: string): void | Promise<void>;
}

/** Remembers in this process alone, at most so many words at a time; with as many, nothing more is taken. */
export class MemorySeen implements SeenEvents {
    private until = new Map<string, number>();

    constructor(private readonly most = 100_000, private readonly elapsed: () => number = () => performance.now() / 1000) {}

    add(word: string, seconds: number): boolean {
        if (this.has(word)) return false;
        const now = this.elapsed();
        if (this.until.size >= this.most) {
            for (const [known, until] of this.until) if (until <= now) this.until.delete(known);
            if (this.until.size >= this.most) {
                throw new WebhookRefused(503, "webhook_busy", "too many events at a time to tell replays");
            }
        }
        this.until.set(word, now + seconds);
        return true;
    }

    has(word: string): boolean {
        return (this.until.get(word) ?? -Infinity) > this.elapsed();
    }

    discard(word: string): void {
        this.until.delete(word);
    }
}

export interface WebhookOptions {
    /** Shared secrets (`v1`), each `whsec_...`; several, so that they can be rotated. */
    secrets?: Iterable<string>;
    /** Public keys (`v1a`), each `whpk_...`: `publicKeysOf` makes them of the service's JWKS. */
    publicKeys?: Iterable<string>;
    /** Refuses replays; without it an event can be sent again for `toleranceS` by whoever has seen it on its way. */
    seen?: SeenEvents;
    /** Seconds by which a delivery may be old, or ahead; 300 if unset. */
    toleranceS?: number;
    /** Unix seconds. */
    now?: () => number;
}

type Headed = Headers | Readonly<Record<string, string | readonly string[] | undefined>>;
type Body = string | Uint8Array | ArrayBuffer;

/** Verifies events. Throws RangeError where a key is malformed, or where there is none. */
export class WebhookReceiver {
    private readonly secrets: Promise<CryptoKey[]>;
    private readonly publicKeys: Promise<CryptoKey[]>;
    private readonly toleranceS: number;

    constructor(private readonly options: WebhookOptions) {
        const secrets = listed(options.secrets).map((text) => decoded(text, "whsec_", 24, 64));
        const publicKeys = listed(options.publicKeys).map((text) => decoded(text, "whpk_", 32, 32));
        if (secrets.length + publicKeys.length === 0) throw new ClientMisconfigured("a receiver of webhooks needs secrets or public keys");
        this.toleranceS = options.toleranceS ?? TOLERANCE_S;
        if (!(this.toleranceS >= 1)) throw new ClientMisconfigured("toleranceS is at least a second");
        this.secrets = imported(secrets, HMAC);
        this.publicKeys = imported(publicKeys, ED25519);
        // A runtime without Ed25519 says so where an event is verified, and not before anybody waits for it.
        for (const keys of [this.secrets, this.publicKeys]) keys.catch(() => undefined);
    }

    /**
     * Return the event of a request; `payload` is its body, byte for byte as it came. With `seen` it counts as taken from
     * now on: use `receive` where taking it may fail. Throws WebhookRefused.
     */
    async verify(payload: Body, headers: Headed): Promise<WebhookEvent> {
        const event = await this.verified(payload, headers);
        const { seen } = this.options;
        if (seen && !(await seen.add(taken(event), this.rememberS))) throw replayed(event);
        return event;
    }

    /**
     * Have `take` take the event of a request: it counts as taken once that has ended, and not if it throws. Throws
     * WebhookRefused; with the status 503 where the same event is being taken at this moment.
     */
    async receive<T>(payload: Body, headers: Headed, take: (event: WebhookEvent) => T | Promise<T>): Promise<T> {
        const event = await this.verified(payload, headers);
        const { seen } = this.options;
        if (!seen) return take(event);
        const claim = `${event.eventId}:claimed`;
        if (!(await seen.add(claim, CLAIM_S))) {
            if (await seen.has(taken(event))) throw replayed(event);
            throw new WebhookRefused(503, "webhook_busy", "the same event is being taken at this moment");
        }
        try {
            if (await seen.has(taken(event))) throw replayed(event);
            const result = await take(event);
            await seen.add(taken(event), this.rememberS);
            return result;
        } finally {
            await seen.discard(claim);
        }
    }

    /** A timestamp may be so far ahead, and then so old. */
    private get rememberS(): number {
        return 2 * this.toleranceS + 1;
    }

    private async verified(payload: Body, headers: Headed): Promise<WebhookEvent> {
        const body = typeof payload === "string" ? new TextEncoder().encode(payload) : new Uint8Array(payload);
        if (body.length > MAX_WEBHOOK_BYTES) {
            throw new WebhookRefused(413, "webhook_too_large", `the body has more than ${MAX_WEBHOOK_BYTES} bytes`);
        }
        const [id, moment, signatures] = ["id", "timestamp", "signature"].map((name) => header(headers, name)) as
            [string, string, string];
        if (!/^[A-Za-z0-9_-]{1,128}$/.test(id) || !/^[0-9]{1,12}$/.test(moment)) {
            throw new WebhookRefused(400, "webhook_malformed", "webhook-id or webhook-timestamp is malformed");
        }
        const now = this.options.now?.() ?? Date.now() / 1000;
        if (!(Math.abs(now - Number(moment)) <= this.toleranceS)) {
            throw new WebhookRefused(401, "webhook_expired", `it was sent more than ${this.toleranceS} s ago, or ahead`);
        }
        const signed = new Uint8Array([...new TextEncoder().encode(`${id}.${moment}.`), ...body]);
        if (!(await this.signed(signed, signatures.split(" ")))) {
            throw new WebhookRefused(401, "webhook_unsigned", "no signature is by a key of this receiver");
        }
        return read(id, Number(moment), body);
    }

    /** Say whether one of the signatures is by one of the keys; each is compared with each, whatever comes of it. */
    private async signed(message: Uint8Array<ArrayBuffer>, signatures: string[]): Promise<boolean> {
        if (signatures.length > MAX_SIGNATURES) return false;
        const keys: Record<string, CryptoKey[]> = { v1: await this.secrets, v1a: await this.publicKeys };
        let good = false;
        for (const signature of signatures) {
            const comma = signature.indexOf(",");
            const version = signature.slice(0, Math.max(comma, 0));
            const given = bytes(signature.slice(comma + 1));
            if (!given || !Object.hasOwn(keys, version)) continue;
            for (const key of keys[version] ?? []) {
                const algorithm = version === "v1" ? HMAC : ED25519;
                good = (await crypto.subtle.verify(algorithm, key, given, message)) || good;
            }
        }
        return good;
    }
}

/** Return the `whpk_...` of a JWK Set, as `/.well-known/nightlight-webhooks.jwks.json` gives it. */
export function publicKeysOf(jwks: { keys: readonly { crv?: string; x?: string }[] }): string[] {
    return jwks.keys.filter((jwk) => jwk.crv === "Ed25519").map((jwk) => {
        const raw = bytes((jwk.x ?? "").replaceAll("-", "+").replaceAll("_", "/") + "=".repeat((4 - ((jwk.x ?? "").length % 4)) % 4));
        if (raw?.length !== 32) throw new ClientMisconfigured("this is no JWK Set of Ed25519 keys");
        return `whpk_${btoa(String.fromCharCode(...raw))}`;
    });
}

function read(eventId: string, moment: number, body: Uint8Array): WebhookEvent {
    const malformed = () => new WebhookRefused(400, "webhook_malformed", "the body is no event");
    let content: unknown;
    try {
        content = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
    } catch {
        throw malformed();
    }
    if (!isRecord(content) || !isRecord(content.data) || typeof content.type !== "string") throw malformed();
    const happenedAt = new Date(typeof content.timestamp === "string" ? content.timestamp : Number.NaN);
    if (Number.isNaN(happenedAt.getTime())) throw malformed();
    const { data } = content;
    const event: WebhookEvent = { eventId, type: content.type, happenedAt, sentAt: new Date(moment * 1000), data };
    for (const [name, member] of [["profileId", "profile_id"], ["imageId", "image_id"], ["takedownId", "takedown_id"]] as const) {
        const value = data[member];
        if (value === undefined || value === null) continue;
        if (typeof value !== "string") throw malformed();
        event[name] = value;
    }
    return event;
}

function header(headers: Headed, name: string): string {
    const wanted = `webhook-${name}`;
    const found = headers instanceof Headers
        ? headers.get(wanted)
        : Object.entries(headers).find(([known]) => known.toLowerCase() === wanted)?.[1];
    if (typeof found === "string" && found.length <= MAX_HEADER && /^[\x00-\x7f]*$/.test(found)) return found;
    throw new WebhookRefused(400, "webhook_malformed", `the header ${wanted} is missing or malformed`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
    return typeof value === "object" && value !== null && !Array.isArray(value);
}

function taken(event: WebhookEvent): string {
    return `${event.eventId}:taken`;
}

function replayed(event: WebhookEvent): WebhookRefused {
    return new WebhookRefused(204, "webhook_replayed", `the event ${event.eventId} was taken before`);
}

function listed(texts: Iterable<string> | undefined): string[] {
    const found = typeof texts === "string" ? [texts] : [...(texts ?? [])];
    if (found.length > MAX_KEYS) throw new ClientMisconfigured(`a receiver of webhooks has at most ${MAX_KEYS} keys of a kind`);
    return found;
}

function decoded(text: string, prefix: string, least: number, most: number): Uint8Array<ArrayBuffer> {
    const raw = text.startsWith(prefix) ? bytes(text.slice(prefix.length)) : undefined;
    if (!raw || raw.length < least || raw.length > most) {
        throw new ClientMisconfigured(`a key of webhooks is '${prefix}' and base64 of ${least} to ${most} bytes`);
    }
    return raw;
}

async function imported(keys: Uint8Array<ArrayBuffer>[], algorithm: { name: string; hash?: string }): Promise<CryptoKey[]> {
    return Promise.all(keys.map((raw) => crypto.subtle.importKey("raw", raw, algorithm, false, ["verify"])));
}

function bytes(base64: string): Uint8Array<ArrayBuffer> | undefined {
    if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(base64) || !base64) return undefined;
    return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}
