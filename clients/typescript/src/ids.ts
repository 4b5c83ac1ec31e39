// Ids, as clients/python/nightlight_core/ids.py has them: one that the service would refuse is sent nowhere. The others
// are percent-encoded in paths; `.` and `..`, which no encoding protects, are no ids.

import { InvalidId } from "./errors.js";

// Control and format characters, ends of lines, marks of direction, private use, noncharacters, half a surrogate pair. A
// test holds it equal to Python's.
const UNSEEN =
    "\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u180e\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f" +
    "\\ue000-\\uf8ff\\ufdd0-\\ufdef\\ufeff\\ufff9-\\uffff\\ud800-\\udfff";
const ACCOUNT = new RegExp(`^(?!\\.{1,2}$)[^${UNSEEN}]{1,256}$`, "u");
const REFUSED = new RegExp(`[${UNSEEN}]`, "u");
const LONE_SURROGATE = /[\ud800-\udfff]/u;
const MOST_CHARS = 256;
const ACCOUNTS = new Set(["profile_id", "viewer_id", "network"]);
const RANDOM: [RegExp, string] = [/^[0-9a-f]{32}$/, "32 hexadecimal digits"];
const FORMS: Record<string, [RegExp, string]> = {
    image_id: RANDOM, trace_id: RANDOM, takedown_id: RANDOM, review_id: RANDOM,
};
// Any other part of a path is a word of the service's own: letters, digits and what stands between them.
const WORD: [RegExp, string] = [/^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/, "a word of letters, digits or ._-"];
const MAX_VERSION = 2 ** 31 - 1;
const IDEMPOTENCY_KEY = /^[!-~](?:[ -~]{0,198}[!-~])?$/;

/** Return a path such as `/v1/images/{image_id}` with its parts filled in; throw InvalidId for a bad one. */
export function pathOf(template: string, parts: Readonly<Record<string, unknown>> = {}): string {
    return template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(part(name, parts[name])));
}

/** Return what stands for a part in a path or body; throw InvalidId if the service would refuse it. */
export function part(name: string, value: unknown): string {
    if (name === "version") {
        const whole = typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= MAX_VERSION;
        if (!whole) throw new InvalidId(name, `a version is a whole number from 1 to ${MAX_VERSION}`);
        return String(value);
    }
    if (ACCOUNTS.has(name)) {
        const why = accountFault(value);
        if (why) throw new InvalidId(name, `${name} is 1 to ${MOST_CHARS} characters that can be seen; this one ${why}`);
    } else {
        const [pattern, form] = FORMS[name] ?? WORD;
        if (typeof value !== "string" || !pattern.test(value)) throw new InvalidId(name, `${name} is ${form}`);
    }
    return value as string;
}

/** Say whether this could be the id of a profile or viewer at all. */
export function isAccount(value: unknown): value is string {
    return typeof value === "string" && ACCOUNT.test(value);
}

/** Return the profile of a question; it may be one that cannot exist, which is answered with the placeholder. */
export function itemId(value: unknown): string {
    const good = typeof value === "string" && value !== "" && length(value) <= MOST_CHARS && !LONE_SURROGATE.test(value);
    if (!good) throw new InvalidId("profile_id", `the profile of an item is a text of 1 to ${MOST_CHARS} characters`);
    return value;
}

/** Return the header of an idempotency key, if there is one; throw InvalidId if no header can carry it. */
export function idempotency(key: unknown): Record<string, string> {
    if (key === undefined) return {};
    if (typeof key === "string" && IDEMPOTENCY_KEY.test(key)) return { "idempotency-key": key };
    throw new InvalidId("idempotency_key", "an idempotency key is 1 to 200 printable ASCII characters");
}

/** Return what is wrong with an id, in words that name no character but by its number. */
function accountFault(value: unknown): string | undefined {
    if (isAccount(value)) return undefined;
    if (typeof value !== "string") return "is no text";
    if (value === "") return "is empty";
    if (length(value) > MOST_CHARS) return "is longer";
    const refused = REFUSED.exec(value)?.[0].codePointAt(0);
    if (refused === undefined) return "is a step in a path: . or ..";
    return `has the character U+${refused.toString(16).toUpperCase().padStart(4, "0")}`;
}

/** Return how many characters a text has, as the service counts them. */
function length(text: string): number {
    return text.length <= MOST_CHARS ? text.length : [...text.slice(0, 2 * MOST_CHARS + 2)].length;
}
