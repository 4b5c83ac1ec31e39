// What the service answers, as values that are checked: a body of another shape is NotNightlight.

import { BUSY, NotNightlight, Problem, faultsIn } from "./errors.js";
import type { components } from "./schema.js";
import type { Answer } from "./transport.js";

type Schemas = components["schemas"];
type Kind = "text" | "text?" | "number" | "flag" | "list" | "object?";
/** What is read of a body: a member's name, and what it is. `?` also takes null and its absence, which is null then. */
type Shape<T> = { readonly [Name in keyof T]?: Kind };

export type Declaration = Schemas["ProfileBody"];
/** A profile as it was declared; `consistency` is the token that `decide` takes, to decide by no less than this. */
export type Profile = Schemas["ProfileAnswer"] & { consistency: string };
/** One upload; `state` is pending, ready, superseded, rejected, failed, quarantined, held or deleted. */
export type Image = Schemas["ImageAnswer"];
/** A person's own data; `state` is pending, ready or failed. */
export type Export = Schemas["ExportAnswer"];
/** A found copy; `state` is pending, done, rejected or failed, `progress` in hundredths. */
export type Trace = Schemas["TraceAnswer"];
/** A takedown notice; `state` is pending, in_force, rejected, failed, undoing or undone. */
export type Takedown = Schemas["TakedownAnswer"];
export type TakedownMatches = Schemas["TakedownMatchesAnswer"];
/** What a reviewer sees of a notice: softened pictures of it and of its matches, and nobody's id. */
export type NoticeReview = Schemas["TakedownReviewAnswer"];
/** A signed receipt of an erasure: `nightlight receipt verify` opens it. */
export type Receipt = Schemas["ReceiptAnswer"];
/** Why each item of a question is answered as it is. */
export type Explained = Schemas["ExplainAnswer"];
/**
 * Who a client is to the service: the token's subject and scopes, and the service's time (Unix seconds). `relation_keys`
 * are fingerprints of the keys that it checks relation proofs with.
 */
export type TokenInfo = Schemas["CallerAnswer"];

const TESTS: Record<Kind, (value: unknown) => boolean> = {
    "text": (value) => typeof value === "string",
    "text?": (value) => value === null || typeof value === "string",
    "number": (value) => typeof value === "number",
    "flag": (value) => typeof value === "boolean",
    "list": (value) => Array.isArray(value),
    "object?": (value) => value === null || isObject(value),
};
const CONSISTENCY = "nightlight-consistency";

/** Throw the Problem that an answer is, if it is one; NotNightlight if it is no problem of the service's. */
export function refuse(answer: Answer): void {
    if (answer.ok) return;
    const body = answer.json();
    const busy = BUSY.has(answer.status);
    if (isObject(body) && ("code" in body || busy)) {
        const [code, detail] = [body.code ?? "http", body.detail ?? answer.phrase];
        throw new Problem(answer.status, String(code), String(detail), faultsIn(body));
    }
    if (busy) throw new Problem(answer.status, "http", answer.phrase);  // what stands before the service says so
    throw new NotNightlight(answer.status, `${answer.description}, no answer of Nightlight's`);
}

/** Return what an answer says; throw the Problem that it is, or NotNightlight if it is no JSON. */
export function json(answer: Answer): unknown {
    refuse(answer);
    const body = answer.json();
    if (body === undefined) throw new NotNightlight(answer.status, `${answer.description}, no JSON`);
    return body;
}

/** Take an answer of which only its success matters; a page of somebody else's is no success. */
export function nothing(answer: Answer): void {
    refuse(answer);
    if (answer.status !== 204) json(answer);
}

/** Return the consistency token of a change that was taken in; empty where an older service gives none. */
export function change(answer: Answer): string {
    nothing(answer);
    return answer.header(CONSISTENCY) ?? "";
}

/** Return what reads an object; members that are not in the shape are passed on, for a newer service may say more. */
export function shaped<T extends object>(shape: Shape<T>): (answer: Answer) => T {
    const members = Object.entries(shape) as [string, Kind][];
    return (answer) => {
        const body = json(answer);
        if (!isObject(body)) throw new NotNightlight(answer.status, `${answer.description}, no object`);
        for (const [name, kind] of members) {
            if (kind.endsWith("?")) body[name] ??= null;
            if (!TESTS[kind](body[name])) throw new NotNightlight(answer.status, `${answer.description}, ${name} is no ${kind}`);
        }
        return body as T;
    };
}

/** Return what reads an object whose members are the caller's business. */
export function object<T extends object>(): (answer: Answer) => T {
    return shaped<T>({});
}

/** Return what reads a list of objects. */
export function listed<T extends object>(): (answer: Answer) => T[] {
    return (answer) => {
        const body = json(answer);
        if (Array.isArray(body) && body.every(isObject)) return body as T[];
        throw new NotNightlight(answer.status, `${answer.description}, no list`);
    };
}

/** Return what reads a file, which an answer is if it has such a header. */
export function file(header: string, begins: string): (answer: Answer) => Blob {
    return (answer) => {
        refuse(answer);
        if (!answer.header(header)?.startsWith(begins)) {
            throw new NotNightlight(answer.status, `${answer.description}, no file`);
        }
        return answer.blob();
    };
}

/** Return the bytes of a policy bundle. */
export function bundle(answer: Answer): Uint8Array {
    refuse(answer);
    if (answer.header("content-type") !== "application/json") {
        throw new NotNightlight(answer.status, `${answer.description}, no bundle`);
    }
    return answer.bytes();
}

const declared = shaped<Schemas["ProfileAnswer"]>({
    profile_id: "text", band: "text", assurance: "text", region: "text", choice: "text", report_flag: "text", lapses_at: "text",
    deactivated_at: "text?",
});
export const profile = (answer: Answer): Profile => ({ ...declared(answer), consistency: answer.header(CONSISTENCY) ?? "" });
export const image = shaped<Image>({
    image_id: "text", profile_id: "text", state: "text", reason: "text?", reason_detail: "text?",
});
export const exported = shaped<Export>({
    export_id: "text", state: "text", reason: "text?", sha256: "text?", expires_at: "text?",
});
export const trace = shaped<Trace>({
    trace_id: "text", state: "text", reason: "text?", progress: "number", copy_kept: "flag", result: "object?",
});
const TAKEDOWN: Shape<Takedown> = {
    takedown_id: "text", state: "text", reason: "text?", kind: "text", reference: "text", image_id: "text?", hidden: "number",
    received_at: "text", due_at: "text", dark_at: "text?", undone_at: "text?",
};
export const takedown = shaped<Takedown>(TAKEDOWN);
export const matches = shaped<TakedownMatches>({ ...TAKEDOWN, matches: "list" });
export const review = shaped<NoticeReview>({
    takedown_id: "text", state: "text", kind: "text", reference: "text", picture: "object?", matches: "list",
});
export const explained = shaped<Explained>({ items: "list" });
export const tokenInfo = shaped<TokenInfo>({ subject: "text", scopes: "list", now: "number", relation_keys: "list" });

export function isObject(value: unknown): value is Record<string, unknown> {
    return typeof value === "object" && value !== null && !Array.isArray(value);
}
