// Questions for decisions, and what is shown where no answer comes.

import { isObject, refuse } from "./answers.js";
import { BUSY, InvalidId } from "./errors.js";
import type { Kind } from "./failures.js";
import { isAccount, itemId, part } from "./ids.js";
import { PLACEHOLDER_BLURHASH, PLACEHOLDER_URL } from "./placeholder.js";
import { type Prover, UNPROVEN } from "./proofs.js";
import type { components } from "./schema.js";
import type { Answer } from "./transport.js";

type Schemas = components["schemas"];
type ItemBody = Schemas["ItemBody"] & { relation: string };
/** One profile, and what the viewer is to it: as an object, or as a pair, as a Map of relations has them. */
export type Item = Schemas["ItemBody"] | readonly [
    profileId: string, relation?: string, proof?: string | null, atMost?: string | null,
];
export type Items = Iterable<Item> | AsyncIterable<Item>;
/** `fallback` says that the service did not answer in time: the URL is a placeholder that needs no service. */
export type Decision = Schemas["DecisionAnswer"] & { fallback: boolean };
export type Question = Schemas["DecisionsBody"];

export interface Asked {
    /** What is assured of the viewer: peer, adult, unverified or signed_out. */
    viewer: string;
    context: string;
    /** At most 500, in any iterable. */
    items: Items;
    /** Who looks; the client's `viewerId` if unset. */
    viewerId?: string | undefined;
    /** Where they come from, in a word of yours. */
    network?: string | undefined;
    /** A tier: nothing shows more than it, whatever the policy allows. */
    atMost?: string | undefined;
    /** What a change returned that has to count. */
    consistency?: string | undefined;
    budgetMs?: number | undefined;
}

const MOST_ITEMS = 500;
// A fallback is asked about again soon.
const FALLBACK_S = 30;
const PROOF_S = 300;

/** An answer without the decisions asked for, where the next attempt may bring them. It never reaches a caller. */
export class AskAgain {
    constructor(readonly kind: Kind, readonly detail: string) {}
}

/** Return the body of a question; a relation beyond a stranger's without a proof gets one. Throws InvalidId. */
export async function question(asked: Asked, viewerId: string | undefined, prover: Prover | undefined): Promise<Question> {
    if (viewerId !== undefined) part("viewer_id", viewerId);
    if (asked.network !== undefined) part("network", asked.network);
    const now = Math.floor(Date.now() / 1000);
    const items: ItemBody[] = [];
    for (const item of await listed(asked.items)) {
        const proves = !item.proof && prover && viewerId !== undefined && !UNPROVEN.has(item.relation) && isAccount(item.profile_id);
        if (proves) item.proof = prover.issue(viewerId, item.profile_id, item.relation, now, PROOF_S);
        items.push(item);
    }
    const body: Question = { viewer: asked.viewer, context: asked.context, items };
    if (viewerId !== undefined) body.viewer_id = viewerId;
    if (asked.network !== undefined) body.network = asked.network;
    if (asked.atMost !== undefined) body.at_most = asked.atMost;
    if (asked.consistency) body.consistency = asked.consistency;
    return body;
}

/** Return the decisions of an answer; throw AskAgain where another attempt may help, Problem where none will. */
export function decisions(profileIds: readonly string[]): (answer: Answer) => Decision[] {
    return (answer) => {
        if (BUSY.has(answer.status)) throw new AskAgain("busy", `status ${answer.status}`);
        refuse(answer);
        const body = answer.json();
        const items = isObject(body) && Array.isArray(body.items) ? body.items : [];
        const same = items.length === profileIds.length && items.every((item, at) => item?.profile_id === profileIds[at]);
        if (!isObject(body) || !Array.isArray(body.items) || !same || !items.every(isDecision)) {
            throw new AskAgain("not_nightlight", `${answer.description}: another shape, or other profiles than were asked for`);
        }
        // An earlier service does not say whether it may be captured: then it may not.
        return items.map((item) => ({ ...item, capture: item.capture ?? "forbid", fallback: false }));
    };
}

/** Return the placeholder for every profile: one that needs no service. */
export function fallback(profileIds: readonly string[]): Decision[] {
    const until = Math.floor(Date.now() / 1000) + FALLBACK_S;
    return profileIds.map((profile_id) => ({
        profile_id, url: PLACEHOLDER_URL, expires_at: until, blurhash: PLACEHOLDER_BLURHASH, capture: "forbid", fallback: true,
    }));
}

async function listed(items: Items): Promise<ItemBody[]> {
    const iterable = typeof items === "object" && items !== null && (Symbol.iterator in items || Symbol.asyncIterator in items);
    if (!iterable) throw new InvalidId("items", "items are an iterable of profiles and relations");
    const bodies: ItemBody[] = [];
    for await (const item of items) {
        if (bodies.length === MOST_ITEMS) throw new InvalidId("items", `at most ${MOST_ITEMS} items`);
        bodies.push(itemBody(item));
    }
    return bodies;
}

function itemBody(item: Item): ItemBody {
    if (typeof item !== "object" || item === null) throw new InvalidId("items", "an item is an object, or a pair");
    const [id, relation = "stranger", proof, atMost] =
        "profile_id" in item ? [item.profile_id, item.relation, item.proof, item.at_most] : item;
    const body: ItemBody = { profile_id: itemId(id), relation };
    if (proof) body.proof = proof;
    if (typeof atMost === "string") body.at_most = atMost;
    return body;
}

function isDecision(item: Record<string, unknown>): item is Decision {
    return typeof item.url === "string" && typeof item.expires_at === "number" && typeof item.blurhash === "string" &&
        (item.capture === undefined || typeof item.capture === "string");
}
