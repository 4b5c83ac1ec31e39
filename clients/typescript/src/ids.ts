// Ids, as clients/python/nightlight_core/ids.py has them: one that the service would refuse is sent nowhere, for `..`, `#`, `?` and their
// like would make another path of it.

import { Problem } from "./problems.js";

const ACCOUNT = /^[A-Za-z0-9_~@+=-][A-Za-z0-9._~@+=-]{0,127}$/;
const RANDOM = /^[0-9a-f]{32}$/;
const FORMS: Record<string, [RegExp, string]> = {
    profile_id: [ACCOUNT, "1 to 128 letters, digits or ._~@+=-, and does not begin with a dot"],
    viewer_id: [ACCOUNT, "1 to 128 letters, digits or ._~@+=-, and does not begin with a dot"],
    network: [ACCOUNT, "1 to 128 letters, digits or ._~@+=-, and does not begin with a dot"],
    image_id: [RANDOM, "32 hexadecimal digits"],
    trace_id: [RANDOM, "32 hexadecimal digits"],
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
