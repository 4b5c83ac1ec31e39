// Relation proofs, as clients/python/nightlight_core/decisions/relation_proofs.py makes them: `{key id}.{issued}.{expiry}.{signature}`.

/** Secret keys by id; the first signs. */
export type Keys = ReadonlyMap<string, Uint8Array>;

const MAX_LIFE_S = 3600;

/** Return a token that proves a relation, issued at `now` (whole Unix seconds), for `lifeSeconds`. */
export async function issueProof(
    keys: Keys, viewerId: string, profileId: string, relation: string, now: number, lifeSeconds: number,
): Promise<string> {
    const first = keys.entries().next();
    if (first.done) throw new RangeError("there is no key to sign with");
    if (!(lifeSeconds >= 1 && lifeSeconds <= MAX_LIFE_S)) throw new RangeError(`a relation proof lives 1 to ${MAX_LIFE_S} seconds`);
    const [id, secret] = first.value;
    if (`${viewerId}${profileId}${relation}`.includes("\n")) throw new RangeError("no id and no relation has a line's end in it");
    const times = `${now}.${now + lifeSeconds}`;
    const text = new TextEncoder().encode(`relation/2\n${viewerId}\n${profileId}\n${relation}\n${times}`);
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    const key = await crypto.subtle.importKey("raw", new Uint8Array(secret), algorithm, false, ["sign"]);
    const digest = new Uint8Array(await crypto.subtle.sign("HMAC", key, text)).slice(0, 16);
    const encoded = btoa(String.fromCharCode(...digest)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
    return `${id}.${times}.${encoded}`;
}
