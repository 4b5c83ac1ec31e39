// Relation proofs, as clients/python/nightlight_core/decisions/relation_proofs.py makes them:
// `{key id}.{issued}.{expiry}.{signature}`.

import { type KeyObject, createSecretKey } from "node:crypto";

import { ClientMisconfigured, InvalidId } from "./errors.js";
import { type Keys, type RelationKeys, fingerprint, keyMap, mac } from "./keys.js";

/** What a request may say of a viewer without a proof. */
export const UNPROVEN: ReadonlySet<string> = new Set(["stranger", "blocked"]);
/** How far the clocks of a client and the service may differ, in seconds. */
export const LEEWAY_S = 5;
const MAX_LIFE_S = 3600;
const SIGNATURE_BYTES = 16;

/** Signs relation proofs with the first of some keys. */
export class Prover {
    /** The id of the key. */
    readonly id: string;
    private readonly key: KeyObject;

    constructor(keys: Keys) {
        const [[id, key]] = keys as unknown as [[string, Uint8Array]];
        this.id = id;
        this.key = createSecretKey(key);
    }

    /** What the key may be told apart by in public. */
    get fingerprint(): string {
        return fingerprint(this.id, this.key);
    }

    /** Return a token that proves a relation, issued at `now` (whole Unix seconds), for `lifeSeconds`. */
    issue(viewerId: string, profileId: string, relation: string, now: number, lifeSeconds: number): string {
        if (`${viewerId}${profileId}${relation}`.includes("\n")) {
            throw new InvalidId("relation", "no id and no relation has a line's end in it");
        }
        const times = `${now}.${now + lifeSeconds}`;
        const digest = mac(this.key, `relation/2\n${viewerId}\n${profileId}\n${relation}\n${times}`);
        return `${this.id}.${times}.${digest.subarray(0, SIGNATURE_BYTES).toString("base64url")}`;
    }
}

/** Return what signs with the keys of this moment; throw ClientMisconfigured if they are none. */
export function proverOf(keys: RelationKeys | (() => RelationKeys) | undefined): () => Prover | undefined {
    if (keys === undefined) return () => undefined;
    let [last, prover]: [RelationKeys?, Prover?] = [];
    const current = () => {
        const given = typeof keys === "function" ? keys() : keys;
        if (!prover || given !== last) [last, prover] = [given, new Prover(keyMap(given))];
        return prover;
    };
    current();
    return current;
}

/**
 * Return a token that proves a relation, issued at `now` (whole Unix seconds), for `lifeSeconds` (1 to 3600). Throws
 * ClientMisconfigured for keys that are none and for another life, InvalidId for what could be read as another id.
 */
export async function issueProof(
    keys: RelationKeys, viewerId: string, profileId: string, relation: string, now: number, lifeSeconds: number,
): Promise<string> {
    const ring = keyMap(keys);
    if (!(Number.isInteger(lifeSeconds) && lifeSeconds >= 1 && lifeSeconds <= MAX_LIFE_S)) {
        throw new ClientMisconfigured(`a relation proof lives 1 to ${MAX_LIFE_S} seconds`);
    }
    if (!Number.isInteger(now)) throw new ClientMisconfigured("the time of a proof is in whole Unix seconds");
    return new Prover(ring).issue(viewerId, profileId, relation, now, lifeSeconds);
}
