// What every call goes through, and the calls that are more than one request.

import * as answers from "./answers.js";
import type { Explained, Export, Image, TakedownMatches, TokenInfo, Trace } from "./answers.js";
import { type Asked, type Decision, decisions, fallback, question } from "./decisions.js";
import { ClientMisconfigured, Problem } from "./errors.js";
import { Conduct, type Request } from "./exchanges.js";
import type { Failures } from "./failures.js";
import { pathOf } from "./ids.js";
import { type Form, formBody } from "./multipart.js";
import { type Options, type Settings, checkedMs, settingsOf } from "./options.js";
import { LEEWAY_S } from "./proofs.js";
import type { Answered, Given, PathOf, Verb } from "./routes.js";
import type { Answer } from "./transport.js";

// A clock that is further behind gives proofs that are soon over, and counts after a revocation that much later.
const MOST_BEHIND_S = 60;

/** What a call is sent with; `read` reads its answer. */
export interface Parts<T> {
    path?: Readonly<Record<string, unknown>>;
    query?: Readonly<Record<string, string | number | undefined>>;
    body?: unknown;
    form?: Form;
    headers?: Readonly<Record<string, string>>;
    mostBytes?: number;
    budgetMs?: number;
    fallback?: () => T;
    read: (answer: Answer) => T;
}
/** How long what is not final is waited for; 60 000 ms if unset. */
export interface Waiting { timeoutMs?: number }

const WAIT_MS = 60_000;

export class BaseClient {
    /** The service's URL. */
    readonly baseUrl: string;
    /** What went wrong so far, by kind. */
    readonly failures: Failures;
    // What is private has no other name in JavaScript either: tokens and keys are in no print of a client.
    readonly #settings: Settings;
    readonly #conduct: Conduct;

    /** Nothing is sent: `check` asks whether all of this is right. Throws ClientMisconfigured for what cannot work. */
    constructor(baseUrl: string, options: Options) {
        this.#settings = settingsOf(baseUrl, options);
        this.#conduct = new Conduct(this.#settings);
        this.baseUrl = this.#settings.baseUrl;
        this.failures = this.#conduct.failures;
    }

    /**
     * Ask the service who this client is to it; throw whatever keeps it from working: call it at the start.
     *
     * Throws NotNightlight for another host, ServiceUnreachable for none, Problem for a token that does not count or lacks
     * one of `scopes`, and ClientMisconfigured where relation proofs of this client would not: the service has no such key,
     * or the clocks are too far apart.
     */
    async check(...scopes: string[]): Promise<TokenInfo> {
        const budgetMs = this.#settings.budgetMs;
        const caller = await this.call("check", "get", "/v1/caller", { budgetMs, read: answers.tokenInfo });
        const missing = scopes.filter((scope) => !caller.scopes.includes(scope));
        if (missing.length > 0) throw new Problem(403, "forbidden", `the token lacks the scopes ${missing.join(", ")}`);
        const prover = this.#settings.prover();
        if (!prover) return caller;
        if (!caller.relation_keys.includes(prover.fingerprint)) {
            throw new ClientMisconfigured(`the service checks relation proofs with another key '${prover.id}', or with none`);
        }
        const aheadS = Date.now() / 1000 - caller.now;
        if (!(aheadS >= -MOST_BEHIND_S && aheadS <= (caller.leeway_s ?? LEEWAY_S))) {  // nor is it so for what is no number
            throw new ClientMisconfigured(`this clock is ${Math.round(aheadS)} s ahead of the service's: relation proofs do not count`);
        }
        return caller;
    }

    /**
     * Return one decision for each item, in order; at most 500. Asks again, with pauses, while there is time; after the
     * budget every item is the placeholder (`fallback`). Throws Problem where the request itself is refused.
     */
    async decide(asked: Asked): Promise<Decision[]> {
        const budgetMs = checkedMs("budgetMs", asked.budgetMs ?? this.#settings.budgetMs, 0);
        const began = performance.now();
        const body = await this.#question(asked);
        const ids = body.items.map((item) => item.profile_id);
        return this.call("decide", "post", "/v1/decisions", {
            body, read: decisions(ids), fallback: () => fallback(ids), budgetMs: budgetMs - (performance.now() - began),
        });
    }

    /** Return the policy digest and why each item is answered as it is; for operators. */
    async explain(asked: Asked): Promise<Explained> {
        return this.call("explain", "post", "/v1/explain", { body: await this.#question(asked), read: answers.explained });
    }

    /** Return the image once it is no longer pending; throw StillPending if it still is in the end. */
    async wait(imageId: string, waiting: Waiting = {}): Promise<Image> {
        const parts = { path: { image_id: imageId }, read: answers.image };
        return this.#wait("wait", `image ${imageId}`, waiting, () => this.#request("get", "/v1/images/{image_id}", parts));
    }

    /** Return the trace once it is no longer pending; throw StillPending if it still is in the end. */
    async waitTrace(traceId: string, waiting: Waiting = {}): Promise<Trace> {
        const parts = { path: { trace_id: traceId }, read: answers.trace };
        return this.#wait("waitTrace", `trace ${traceId}`, waiting, () => this.#request("get", "/v1/traces/{trace_id}", parts));
    }

    /** Return the export once it is no longer pending; throw StillPending if it still is in the end. */
    async waitExport(profileId: string, waiting: Waiting = {}): Promise<Export> {
        const parts = { path: { profile_id: profileId }, read: answers.exported };
        const ask = () => this.#request("get", "/v1/profiles/{profile_id}/export", parts);
        return this.#wait("waitExport", "the export", waiting, ask);
    }

    /** Return the notice once it is no longer pending; throw StillPending if it still is in the end. */
    async waitTakedown(takedownId: string, waiting: Waiting = {}): Promise<TakedownMatches> {
        const parts = { path: { takedown_id: takedownId }, read: answers.matches };
        const ask = () => this.#request("get", "/v1/takedowns/{takedown_id}", parts);
        return this.#wait("waitTakedown", `notice ${takedownId}`, waiting, ask);
    }

    /**
     * Send any request of the API, typed by its OpenAPI document, and return the JSON of its answer; for a route that has
     * no method here: `client.send("get", "/v1/holds/{hold_id}", { path: { hold_id } })`.
     */
    async send<V extends Verb, P extends PathOf<V>>(method: V, path: P, given: Given<V, P>): Promise<Answered<V, P>> {
        const { path: parts, query, body } = given as Omit<Parts<unknown>, "read">;
        const read = (answer: Answer) => (answer.status === 204 ? undefined : answers.json(answer)) as Answered<V, P>;
        return this.call("send", method, path, { ...(parts && { path: parts }), ...(query && { query }), body, read });
    }

    protected async call<T, V extends Verb>(operation: string, method: V, path: PathOf<V>, parts: Parts<T>): Promise<T> {
        return this.#conduct.exchange(operation, this.#request(method, path, parts));
    }

    /** A call whose whole answer comes within the client's budget. */
    protected async callInBudget<T, V extends Verb>(operation: string, method: V, path: PathOf<V>, parts: Parts<T>): Promise<T> {
        return this.call(operation, method, path, { ...parts, budgetMs: this.#settings.budgetMs });
    }

    #request<T>(method: Verb, template: string, parts: Parts<T>): Request<T> {
        const { path, query = {}, body, form, headers = {}, ...how } = parts;
        const named = Object.entries(query).filter(([, value]) => value !== undefined).map(([name, value]) => [name, String(value)]);
        const search = new URLSearchParams(named).toString();
        const request: Request<T> = { method: method.toUpperCase(), target: pathOf(template, path) + (search && `?${search}`), ...how };
        if (form) {
            const { body: blob, type } = formBody(form);
            return { ...request, body: blob, headers: { ...headers, "content-type": type } };
        }
        if (body === undefined) return { ...request, headers };
        return { ...request, body: JSON.stringify(body), headers: { ...headers, "content-type": "application/json" } };
    }

    #question(asked: Asked) {
        return question(asked, asked.viewerId === undefined ? this.#settings.viewerId : asked.viewerId, this.#settings.prover());
    }

    async #wait<T extends { state: string }>(operation: string, what: string, waiting: Waiting, ask: () => Request<T>): Promise<T> {
        return this.#conduct.untilFinal(operation, what, waiting.timeoutMs ?? WAIT_MS, ask);
    }
}
