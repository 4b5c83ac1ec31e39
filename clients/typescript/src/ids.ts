// Ids, as clients/python/nightlight_core/ids.py has them: one that the service would refuse is sent nowhere. The others are
// percent-encoded in paths; `.` and `..`, which no encoding protects, are no ids.

import { Problem } from "./problems.js";

// Control and format characters, ends of lines, marks of direction, private use, noncharacters, half a surrogate pair. A test
// holds it equal to Python's.
const UNSEEN =
    "\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u180e\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f" +
    "\\ue000-\\uf8ff\\ufdd0-\\ufdef\\ufeff\\ufff9-\\uffff\\ud800-\\udfff";
const ACCOUNT = new RegExp(`^(?!\\.{1,2}$)[^${UNSEEN}]{1,256}$`, "u");
const ACCOUNT_FORM = "1 to 256 characters that can be seen, and not . or ..";
const RANDOM = /^[0-9a-f]{32}$/;
const FORMS: Record<string, [RegExp, string]> = {
    profile_id: [ACCOUNT, ACCOUNT_FORM],
    viewer_id: [ACCOUNT, ACCOUNT_FORM],
    network: [ACCOUNT, ACCOUNT_FORM],
    image_id: [RANDOM, "32 hexadecimal digits"],
    trace_id: [RANDOM, "32 hexadecimal digits"],
    takedown_id: [RANDOM, "32 hexadecimal digits"],
    review_id: [RANDOM, "32 hexadecimal digits"],
    version: [/^[1-9][0-9]{0,9}$/, "a whole number from 1 on"],
};
// Any other part of a path is a word of the service's own: letters, digits and what stands between them.
const WORD: [RegExp, string] = [/^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/, "a word of letters, digits or ._-"];

/** Throw a Problem (422) for the first part that the service would refuse. */
export function checked(parts: Record<string, unknown>): void {
    for (const [name, value] of Object.entries(parts)) {
        const [pattern, form] = FORMS[name] ?? WORD;
        const text = typeof value === "number" ? String(value) : value;
        // A `$` of a pattern matches before nothing but the end: there is no `m` flag.
        if (typeof text !== "string" || !pattern.test(text)) throw new Problem(422, "invalid_input", `${name} is ${form}`);
    }
}

/** Say whether this could be the id of a profile or viewer at all. */
export function isAccount(value: unknown): value is string {
    return typeof value === "string" && ACCOUNT.test(value);
}
