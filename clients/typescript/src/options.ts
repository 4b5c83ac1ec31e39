// What a client is given, and the check of it: what cannot work is ClientMisconfigured when the client is made.

import { ClientMisconfigured } from "./errors.js";
import type { Failure } from "./failures.js";
import { part } from "./ids.js";
import type { RelationKeys } from "./keys.js";
import { type Prover, proverOf } from "./proofs.js";

/** What is asked of a `fetch`: the platform's own, of undici or another library, takes it as the global one does. */
export type Fetch = (url: string, init: FetchInit) => Promise<FetchAnswer>;
export interface FetchInit {
    method: string;
    headers: Record<string, string>;
    /** Text or a Blob, of which each library has a type of its own. */
    body?: any;
    signal: AbortSignal;
    redirect: "manual";
}
export interface FetchAnswer {
    readonly status: number;
    readonly statusText: string;
    readonly headers: { get(name: string): string | null };
    readonly body?: unknown;
    arrayBuffer(): Promise<ArrayBuffer>;
}

/** One call that ended, for the platform's own metrics: nothing in it says who was asked about, or by whom. */
export interface CallReport {
    /** The method's name. */
    operation: string;
    /**
     * `ok`, `fallback` (placeholders for want of an answer), the code of a Problem, the kind of a failure, or `error` for
     * an exception of the caller's own.
     */
    outcome: string;
    /** The status of the last answer, 0 if none came. */
    status: number;
    /** How long the whole call took, with its attempts. */
    ms: number;
    attempts: number;
}

export interface Options {
    /** A bearer token, or what gives one at each attempt. */
    token: string | (() => string | Promise<string>);
    /**
     * Keys that the service checks relation proofs with: with them this client vouches for every relation that it is
     * given. Give it what your own graph says, never what a viewer says. A function is asked each time; what it returns is
     * read again when it is another text, Map or object.
     */
    relationKeys?: RelationKeys | (() => RelationKeys);
    /** Who looks, where a call names nobody else. */
    viewerId?: string;
    /** How long decisions may take with every attempt, in milliseconds; 1000 if unset. */
    budgetMs?: number;
    /** How long a call without a budget may take until its answer begins; 30 000 ms if unset, its body's upload included. */
    timeoutMs?: number;
    /** How long a call without a budget waits for further bytes of an answer; 10 000 ms if unset. */
    stepMs?: number;
    /** The mean pause before the second attempt at a decision, which doubles with each; 50 ms if unset. */
    firstPauseMs?: number;
    /** How many attempts at a decision there are within its budget; 1000 if unset. */
    mostAttempts?: number;
    /** Headers that go with every request, beside those of the client's own. */
    headers?: Readonly<Record<string, string>>;
    /** What sends requests: proxies, certificates and dispatchers are its business. The global `fetch` if unset. */
    fetch?: Fetch;
    /** Told of every call as it ends; what it throws is logged. */
    onCall?: (report: CallReport) => void;
    /** Told of what keeps the service from being reached, each kind once a minute; `console.error` if unset. */
    onFailure?: (failure: Failure) => void;
}

/** What a client works with, checked. */
export interface Settings {
    readonly baseUrl: string;
    readonly token: () => Promise<string>;
    readonly prover: () => Prover | undefined;
    readonly viewerId: string | undefined;
    readonly budgetMs: number;
    readonly timeoutMs: number;
    readonly stepMs: number;
    readonly firstPauseMs: number;
    readonly mostAttempts: number;
    readonly headers: Readonly<Record<string, string>>;
    readonly fetch: Fetch;
    readonly onCall: ((report: CallReport) => void) | undefined;
    readonly onFailure: (failure: Failure) => void;
}

const NAMES = new Set([
    "token", "relationKeys", "viewerId", "budgetMs", "timeoutMs", "stepMs", "firstPauseMs", "mostAttempts", "headers", "fetch",
    "onCall", "onFailure",
]);
// Headers that the client sets by itself.
const OWN = new Set(["authorization", "content-type", "content-length", "transfer-encoding", "host"]);
const HEADER = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$/;
const PRINTABLE = /^[ -~]*$/;
const TOKEN = /^[!-~]{1,8192}$/;
const LONGEST_MS = 3_600_000;

/** Return what a client works with; throw ClientMisconfigured or InvalidId for what cannot work. */
export function settingsOf(baseUrl: unknown, options: Options): Settings {
    const given: Partial<Options> = options ?? {};
    for (const name of Object.keys(given)) {
        if (!NAMES.has(name)) throw new ClientMisconfigured(`there is no option '${name.slice(0, 100)}'`);
    }
    const url = checkedUrl(baseUrl);
    if (typeof (given.fetch ?? globalThis.fetch) !== "function") {
        throw new ClientMisconfigured("fetch is no function, or this runtime has none");
    }
    for (const name of ["onCall", "onFailure"] as const) {
        if (given[name] !== undefined && typeof given[name] !== "function") throw new ClientMisconfigured(`${name} is no function`);
    }
    const attempts = given.mostAttempts ?? 1000;
    if (!Number.isInteger(attempts) || attempts < 1) throw new ClientMisconfigured("mostAttempts is a whole number from 1 on");
    return {
        baseUrl: url,
        token: tokenOf(given.token),
        prover: proverOf(given.relationKeys),
        viewerId: given.viewerId === undefined ? undefined : part("viewer_id", given.viewerId),
        budgetMs: checkedMs("budgetMs", given.budgetMs ?? 1000, 0),
        timeoutMs: checkedMs("timeoutMs", given.timeoutMs ?? 30_000),
        stepMs: checkedMs("stepMs", given.stepMs ?? 10_000),
        firstPauseMs: checkedMs("firstPauseMs", given.firstPauseMs ?? 50),
        mostAttempts: attempts,
        headers: checkedHeaders(given.headers ?? {}),
        fetch: given.fetch ?? ((address, init) => globalThis.fetch(address, init)),
        onCall: given.onCall,
        onFailure: given.onFailure ?? (({ kind, detail, count }) => {
            console.error(`nightlight: ${new URL(url).origin} fails: ${kind}, ${count} times (${detail})`);
        }),
    };
}

/** Return a time of more than `least` milliseconds, or of 0 where that is allowed, and at most an hour. */
export function checkedMs(name: string, ms: unknown, least = 1): number {
    if (typeof ms !== "number" || !(ms >= least && ms <= LONGEST_MS)) {  // not a number is neither
        throw new ClientMisconfigured(`${name} is ${least} to ${LONGEST_MS} milliseconds`);
    }
    return ms;
}

function checkedUrl(url: unknown): string {
    const refused = (why: string) => new ClientMisconfigured(`baseUrl ${why}`);
    if (typeof url !== "string") throw refused("is text, such as https://nightlight.internal");
    const authority = /^https?:\/\/([^/]+)/i.exec(url)?.[1];
    if (!/^https?:/i.test(url)) throw refused("begins with https:// or http://");
    if (!authority || !TOKEN.test(url) || url.includes("\\")) throw refused("names no host");
    if (/[?#]/.test(url)) throw refused("ends with its path: it has no '?' and no '#'");
    if (authority.includes("@")) throw refused("has no user and no password: the token is given apart");
    try {
        new URL(url);
    } catch {
        throw refused("is no URL");
    }
    return url.replace(/\/+$/, "");
}

function tokenOf(token: unknown): () => Promise<string> {
    if (typeof token === "function") return async () => checkedToken(await token());
    const fixed = checkedToken(token);
    return async () => fixed;
}

function checkedToken(token: unknown): string {
    if (typeof token !== "string" || !TOKEN.test(token)) {
        throw new ClientMisconfigured("the token is no bearer token: printable ASCII without spaces or a line's end");
    }
    return token;
}

function checkedHeaders(headers: Readonly<Record<string, unknown>>): Record<string, string> {
    const checked: Record<string, string> = {};
    for (const [name, value] of Object.entries(headers)) {
        const good = HEADER.test(name) && !OWN.has(name.toLowerCase()) && typeof value === "string" && PRINTABLE.test(value);
        if (!good) throw new ClientMisconfigured(`headers: '${name.slice(0, 100)}' cannot be sent with every request`);
        checked[name.toLowerCase()] = value;
    }
    return checked;
}
