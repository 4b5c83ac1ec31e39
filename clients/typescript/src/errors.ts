// What this client throws: the tree of the Python client (clients/python/nightlight_client/errors.py).
//
//   NightlightError             the root
//   ├── ClientMisconfigured     the address, token, keys or options cannot work
//   ├── ServiceUnreachable      no answer came; `kind` says why, as `failures` has it
//   ├── StillPending            it was waited for as long as was said
//   └── Problem                 the service's answer to a request that it did not carry out (RFC 9457)
//       ├── InvalidId           an id that the service would refuse: nothing was sent
//       └── NotNightlight       an answer that is none of the service's: another host's
//
// An exception of the platform's own `token()` is passed on as it is.

import type { Kind } from "./failures.js";

/** Statuses that may be another the next time: too many requests, and what a proxy or the service says of an outage. */
export const BUSY: ReadonlySet<number> = new Set([429, 502, 503, 504]);
// How many of an answer's faults are kept, and how long their texts are.
const MOST_FAULTS = 50;
const MOST_CHARS = 500;

/** One fault of a request: `pointer` says where it is (RFC 6901), `detail` what is wrong. */
export interface ProblemError { pointer: string; detail: string }

export class NightlightError extends Error {
    /** A stable word for the kind of error. */
    readonly code: string;
    /** Whether the same call may succeed later. */
    readonly retryable: boolean;

    constructor(name: string, code: string, message: string, retryable = false, cause?: unknown) {
        super(message, cause === undefined ? undefined : { cause });
        this.name = name;
        this.code = code;
        this.retryable = retryable;
    }
}

/** What a client was given cannot work. */
export class ClientMisconfigured extends NightlightError {
    constructor(message: string) {
        super("ClientMisconfigured", "client_misconfigured", message);
    }
}

/** No answer came, or not all of it in time. */
export class ServiceUnreachable extends NightlightError {
    constructor(readonly kind: Kind, detail: string, cause?: unknown) {
        super("ServiceUnreachable", "service_unreachable", `${kind}: ${detail}`, true, cause);
    }
}

/** What was waited for goes on; it may be waited for again. */
export class StillPending extends NightlightError {
    constructor(message: string) {
        super("StillPending", "still_pending", message, true);
    }
}

/** The service's answer to a request that it did not carry out. */
export class Problem extends NightlightError {
    /** The faults of single parts of the request. */
    readonly errors: readonly ProblemError[];

    constructor(readonly status: number, code: string, readonly detail: string, errors: readonly ProblemError[] = [], name = "Problem") {
        const parts = errors.map((error) => `${error.pointer}: ${error.detail}`).join("; ");
        const again = BUSY.has(status) && code !== "not_nightlight";
        super(name, code, `${status} ${code}: ${detail}${parts && ` (${parts})`}`, again);
        this.errors = errors;
    }

    /** Where the first fault is. */
    get pointer(): string | undefined {
        return this.errors[0]?.pointer;
    }
}

/** An id that the service would refuse: nothing was sent. */
export class InvalidId extends Problem {
    constructor(readonly part: string, detail: string) {
        super(422, "invalid_input", detail, [{ pointer: `/${part}`, detail }], "InvalidId");
    }
}

/** An answer that is none of the service's: the address leads to something else. */
export class NotNightlight extends Problem {
    constructor(status: number, detail: string) {
        super(status, "not_nightlight", `${detail}: is it the right host?`, [], "NotNightlight");
    }
}

/** Return the faults that a problem's body lists; nothing of what has another shape. */
export function faultsIn(body: Record<string, unknown>): ProblemError[] {
    const listed = Array.isArray(body.errors) ? body.errors.slice(0, MOST_FAULTS) : [];
    const text = (value: unknown) => String(value ?? "").slice(0, MOST_CHARS);
    return listed
        .filter((fault) => typeof fault === "object" && fault !== null)
        .map((fault: Record<string, unknown>) => ({ pointer: text(fault.pointer), detail: text(fault.detail) }));
}
