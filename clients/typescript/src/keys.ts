// Secret keys, as clients/python/nightlight_core/keyring.py reads them: strictly, and never in the text of an error.

import { type KeyObject, createHmac } from "node:crypto";

import { ClientMisconfigured } from "./errors.js";

/**
 * Keys that the service checks relation proofs with; the first signs. They are the text of its setting
 * (`"r1:base64"`, several with commas), or bytes or base64 by id, in a Map or an object.
 */
export type RelationKeys = string | ReadonlyMap<string, Uint8Array | string> | Readonly<Record<string, Uint8Array | string>>;
export type Keys = ReadonlyMap<string, Uint8Array>;

const MIN_KEY_BYTES = 32;
const KEY_ID = /^[a-z0-9]{2}$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const FINGERPRINT = "nightlight key fingerprint/1";
const FINGERPRINT_BYTES = 4;

/** Return keys by id, the one that signs first; throw ClientMisconfigured for what is none, naming it and no key. */
export function keyMap(given: unknown, what = "relationKeys"): Keys {
    const keys = new Map<string, Uint8Array>();
    for (const [id, key] of entries(given, what)) {
        if (typeof id !== "string" || !KEY_ID.test(id) || keys.has(id)) {
            throw new ClientMisconfigured(`each key of ${what} needs an id of its own, of two lower-case letters or digits`);
        }
        keys.set(id, bytesOf(key, `${what}: key '${id}'`));
    }
    if (keys.size === 0) throw new ClientMisconfigured(`${what} has no key`);
    return keys;
}

function entries(given: unknown, what: string): Iterable<[unknown, unknown]> {
    if (typeof given === "string") {
        return given.split(",").map((part) => {
            const [id, ...key] = part.trim().split(":");
            return [id, key.join(":")];
        });
    }
    if (given instanceof Map) return given;
    const plain = typeof given === "object" && given !== null && !Array.isArray(given) && !ArrayBuffer.isView(given);
    if (!plain) throw new ClientMisconfigured(`${what} is the text of a ring ("r1:base64"), a Map or an object`);
    const listed = Object.entries(given);
    // An object lists names that are numbers first, so it does not say which key signs.
    if (listed.length > 1 && listed.some(([id]) => /^[1-9][0-9]$/.test(id))) {
        throw new ClientMisconfigured(`${what} has an id that is a number, and an object loses its place: give a Map or text`);
    }
    return listed;
}

function bytesOf(key: unknown, what: string): Uint8Array {
    const bytes = typeof key === "string" ? decoded(key) : key;
    if (!(bytes instanceof Uint8Array) || bytes.length < MIN_KEY_BYTES) {
        throw new ClientMisconfigured(`${what} must be at least ${MIN_KEY_BYTES} bytes, or base64 of them`);
    }
    return new Uint8Array(bytes);
}

function decoded(text: string): Uint8Array | undefined {
    return BASE64.test(text) ? Uint8Array.from(atob(text), (character) => character.charCodeAt(0)) : undefined;
}

/** Return the HMAC-SHA256 of a text: 32 bytes. */
export function mac(key: Uint8Array | KeyObject, text: string): Buffer {
    return createHmac("sha256", key).update(text).digest();
}

/** Return what a key may be told apart by in public: its id, and 32 bits that say nothing of a secret key. */
export function fingerprint(id: string, key: Uint8Array | KeyObject): string {
    return `${id}-${mac(key, FINGERPRINT).subarray(0, FINGERPRINT_BYTES).toString("hex")}`;
}
