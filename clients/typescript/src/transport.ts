// One request on its way: sent by `fetch`, its answer read to its end, and no further than it may be long.

import { NotNightlight, ServiceUnreachable } from "./errors.js";
import { kindOf } from "./failures.js";
import type { FetchAnswer, FetchInit, Settings } from "./options.js";

/** What is sent. `target` is the path with its parameters. An answer of more than `mostBytes` is none of the service's. */
export interface Sent {
    method: string;
    target: string;
    headers: Readonly<Record<string, string>>;
    body?: string | Blob;
    mostBytes: number;
}

/** One answer, read to its end. */
export class Answer {
    constructor(
        readonly status: number,
        private readonly statusText: string,
        private readonly headers: { get(name: string): string | null },
        private readonly pieces: readonly Uint8Array[],
    ) {}

    get ok(): boolean {
        return this.status >= 200 && this.status < 300;
    }

    /** What HTTP calls the status. */
    get phrase(): string {
        return this.statusText || `status ${this.status}`;
    }

    /** The status and the kind of content, for the log. */
    get description(): string {
        return `${this.status} ${this.header("content-type")?.slice(0, 60) ?? "of no kind"}`;
    }

    header(name: string): string | undefined {
        return this.headers.get(name) ?? undefined;
    }

    blob(): Blob {
        return new Blob(this.pieces as Uint8Array<ArrayBuffer>[], { type: this.header("content-type") ?? "" });
    }

    bytes(): Uint8Array {
        const whole = new Uint8Array(this.pieces.reduce((length, piece) => length + piece.length, 0));
        let at = 0;
        for (const piece of this.pieces) {
            whole.set(piece, at);
            at += piece.length;
        }
        return whole;
    }

    /** Return the content as JSON; undefined if it is none. */
    json(): unknown {
        try {
            return JSON.parse(new TextDecoder().decode(this.bytes()));
        } catch {
            return undefined;
        }
    }
}

/**
 * Return the answer to a request. The whole of it has to come within `ms`; where that is undefined, each step has the
 * time that the settings say. Throws ServiceUnreachable where none comes, and NotNightlight for one that is too long.
 */
export async function send(settings: Settings, sent: Sent, ms: number | undefined): Promise<Answer> {
    const control = new AbortController();
    const end = performance.now() + (ms ?? 0);
    const within = <T>(promise: Promise<T>, stepMs: number) =>
        inTime(promise, ms === undefined ? stepMs : end - performance.now(), "the answer was not whole in time", control);
    try {
        const { fetch } = settings;
        const init: FetchInit = { method: sent.method, headers: { ...sent.headers }, signal: control.signal, redirect: "manual" };
        if (sent.body !== undefined) init.body = sent.body;
        const answer = await within(Promise.resolve(fetch(settings.baseUrl + sent.target, init)), settings.timeoutMs);
        const pieces = await read(answer, sent.mostBytes, (step) => within(step, settings.stepMs));
        return new Answer(answer.status, answer.statusText ?? "", answer.headers, pieces);
    } catch (error) {
        control.abort();
        if (error instanceof ServiceUnreachable || error instanceof NotNightlight) throw error;
        throw new ServiceUnreachable(kindOf(error), described(error), error);
    }
}

async function read(
    answer: FetchAnswer, mostBytes: number, within: <T>(step: Promise<T>) => Promise<T>,
): Promise<Uint8Array[]> {
    const pieces: Uint8Array[] = [];
    let length = 0;
    const take = (piece: Uint8Array) => {
        length += piece.length;
        const most = mostBytes.toLocaleString("en");
        if (length > mostBytes) throw new NotNightlight(answer.status, `${answer.status} with more than ${most} bytes`);
        pieces.push(piece);
    };
    const body = answer.body as { getReader?: () => ReadableStreamDefaultReader<Uint8Array> } | null | undefined;
    if (typeof body?.getReader !== "function") {
        take(new Uint8Array(await within(answer.arrayBuffer())));  // a library whose answers are no web streams
        return pieces;
    }
    for (const reader = body.getReader(); ;) {
        const { done, value } = await within(reader.read());
        if (done) return pieces;
        take(value);
    }
}

/** Return what a promise comes to; after `ms` throw ServiceUnreachable, and give up what `control` stops. */
export function inTime<T>(promise: Promise<T>, ms: number, why: string, control?: AbortController): Promise<T> {
    return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
            const late = new ServiceUnreachable("timeout", why);
            reject(late);
            control?.abort(late);
        }, Math.max(1, ms));
        promise.then(resolve, reject).finally(() => clearTimeout(timer));
    });
}

function described(error: unknown): string {
    const causes: string[] = [];
    for (let at: unknown = error; at instanceof Error && causes.length < 3; at = at.cause) causes.push(`${at.name}: ${at.message}`);
    return causes.join(", by ").slice(0, 300) || String(error).slice(0, 300);
}
