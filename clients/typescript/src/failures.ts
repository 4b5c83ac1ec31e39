// What went wrong between this client and its service, by kind, as clients/python/nightlight_client/failures.py has it.
// Decisions fall back to the placeholder whatever happens, so a wrong host would go unnoticed: what is swallowed is noted
// here first.

import { NotNightlight, ServiceUnreachable } from "./errors.js";

export type Kind = "unresolved" | "unreachable" | "tls" | "timeout" | "cut" | "busy" | "not_nightlight";
export interface Failure { kind: Kind; detail: string; count: number }

const AGAIN_MS = 60_000;
const MOST_CAUSES = 10;
const UNRESOLVED = new Set(["ENOTFOUND", "EAI_AGAIN"]);
const UNREACHABLE = new Set(["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "EADDRNOTAVAIL", "UND_ERR_CONNECT_TIMEOUT"]);

export class Failures {
    private readonly met = new Map<Kind, number>();
    private readonly told = new Map<Kind, number>();

    constructor(private readonly tell: (failure: Failure) => void) {}

    /** How often each kind was met since the client was made; for the platform's own metrics. */
    get counts(): ReadonlyMap<Kind, number> {
        return this.met;
    }

    /** Count a failure; tell of it if its kind was not told of in the last minute. */
    note(kind: Kind, detail: string): void {
        const count = (this.met.get(kind) ?? 0) + 1;
        this.met.set(kind, count);
        const now = performance.now();
        if (now - (this.told.get(kind) ?? -Infinity) < AGAIN_MS) return;
        this.told.set(kind, now);
        guarded("onFailure", () => this.tell({ kind, detail: detail.slice(0, 300), count }));
    }

    /** Count an error that kept a call from the service; a refusal is an answer, and is not counted. */
    noteError(error: unknown): void {
        if (error instanceof ServiceUnreachable) this.note(error.kind, error.message);
        else if (error instanceof NotNightlight) this.note("not_nightlight", error.detail);
    }
}

/** Call the platform's own code; what it throws is logged, and is no reason to show nobody's picture. */
export function guarded(name: string, call: () => void): void {
    try {
        call();
    } catch (error) {
        console.error(`nightlight: ${name} failed`, error);
    }
}

/** Return the kind of an error of `fetch`, or of what reads its answer. */
export function kindOf(error: unknown): Kind {
    let at: unknown = error;
    for (let depth = 0; depth < MOST_CAUSES && at instanceof Error; depth++) {
        const code = (at as { code?: unknown }).code;
        if (at.name === "TimeoutError" || at.name === "AbortError") return "timeout";
        if (typeof code === "string") {
            if (UNRESOLVED.has(code)) return "unresolved";
            if (UNREACHABLE.has(code)) return "unreachable";
            if (code.includes("TIMEOUT") || code === "ETIMEDOUT") return "timeout";
            if (/CERT|TLS|SSL|SELF_SIGNED|UNABLE_TO_VERIFY|ALTNAME/.test(code)) return "tls";
        }
        if (at instanceof AggregateError && at.errors.length > 0) at = at.errors[0];
        else at = at.cause;
    }
    return "cut";
}
