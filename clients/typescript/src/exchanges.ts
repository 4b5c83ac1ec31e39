// What a client does with a request: how often it tries, when it gives up, whom it tells. As
// clients/python/nightlight_client/exchanges.py does.

import { AskAgain } from "./decisions.js";
import { NightlightError, Problem, ServiceUnreachable, StillPending } from "./errors.js";
import { Failures, guarded } from "./failures.js";
import { type CallReport, type Settings, checkedMs } from "./options.js";
import { type Answer, type Sent, inTime, send } from "./transport.js";

/** Answers are at most so long, unless their request says otherwise: pages of bundles, views and pictures of reviews. */
export const MOST_BYTES = 64_000_000;
// How long to wait before the state of an image, a trace or an export is asked for again: an eighth of what it has taken
// so far, so that what takes long is not asked for all the time.
const POLL_MS = 100;
const POLL_SHARE = 1 / 8;
const MOST_POLL_MS = 1000;
const AGENT = "nightlight-client-js";

/** What is sent, and how its answer is read: `read` throws Problem for a refusal, NotNightlight for a stranger's answer. */
export interface Request<T> {
    method: string;
    target: string;
    headers?: Readonly<Record<string, string>>;
    body?: string | Blob;
    read: (answer: Answer) => T;
    mostBytes?: number;
    /** The time of the whole call; without it, each step has the client's own. */
    budgetMs?: number;
    /** What stands for an answer once the budget is spent: with it there are attempts until then, without it there is one. */
    fallback?: () => T;
}

interface Trip { attempts: number; status: number; outcome: string }

export class Conduct {
    readonly failures: Failures;

    constructor(private readonly settings: Settings) {
        this.failures = new Failures(settings.onFailure);
    }

    /** Send a request, and return what its answer holds. */
    async exchange<T>(operation: string, request: Request<T>): Promise<T> {
        const began = performance.now();
        const trip: Trip = { attempts: 0, status: 0, outcome: "ok" };
        try {
            if (request.fallback) return await this.untilAnswered(request, request.fallback, trip);
            return request.read(await this.attempt(request, request.budgetMs, trip));
        } catch (error) {
            trip.outcome = error instanceof Problem ? error.code : error instanceof ServiceUnreachable ? error.kind : "error";
            this.failures.noteError(error);
            throw error;
        } finally {
            this.report({ operation, ...trip, ms: performance.now() - began });
        }
    }

    /**
     * Ask until the state is no longer pending; throw StillPending if it still is after `timeoutMs`. What may be otherwise
     * the next time, such as an outage, is no end of it while there is time.
     */
    async untilFinal<T extends { state: string }>(operation: string, what: string, timeoutMs: number, ask: () => Request<T>): Promise<T> {
        const began = performance.now();
        const left = () => began + timeoutMs - performance.now();
        for (checkedMs("timeoutMs", timeoutMs, 0); ;) {
            try {
                const found = await this.exchange(operation, ask());
                if (found.state !== "pending") return found;
            } catch (error) {
                if (!(error instanceof NightlightError && error.retryable) || left() < 0) throw error;
            }
            if (left() < 0) throw new StillPending(`${what} is still pending after ${Math.round(timeoutMs / 1000)} s`);
            await pause(Math.min(Math.max(POLL_MS, (performance.now() - began) * POLL_SHARE), MOST_POLL_MS));
        }
    }

    /** Attempt until an answer can be read; what goes wrong on the way is noted, a refusal is thrown. */
    private async untilAnswered<T>(request: Request<T>, fallback: () => T, trip: Trip): Promise<T> {
        const end = performance.now() + (request.budgetMs ?? 0);
        for (let mean = this.settings.firstPauseMs; ; mean *= 2) {
            try {
                return request.read(await this.attempt(request, end - performance.now(), trip));
            } catch (error) {
                if (error instanceof AskAgain) this.failures.note(error.kind, error.detail);
                else if (error instanceof ServiceUnreachable) this.failures.noteError(error);
                else throw error;
            }
            // Drawn between nothing and twice the mean ("full jitter"), so that clients do not ask all at once.
            const wait = Math.random() * 2 * mean;
            if (trip.attempts >= this.settings.mostAttempts || wait >= end - performance.now()) break;
            await pause(wait);
        }
        trip.outcome = "fallback";
        return fallback();
    }

    private async attempt(request: Request<unknown>, ms: number | undefined, trip: Trip): Promise<Answer> {
        const began = performance.now();
        const token = await inTime(this.settings.token(), ms ?? this.settings.timeoutMs, "the token was not there in time");
        const authorization = `Bearer ${token}`;
        const headers = { "user-agent": AGENT, ...this.settings.headers, ...request.headers, authorization };
        const sent: Sent = { method: request.method, target: request.target, headers, mostBytes: request.mostBytes ?? MOST_BYTES };
        if (request.body !== undefined) sent.body = request.body;
        trip.attempts += 1;
        trip.status = 0;
        const answer = await send(this.settings, sent, ms === undefined ? undefined : ms - (performance.now() - began));
        trip.status = answer.status;
        return answer;
    }

    private report(report: CallReport): void {
        const { onCall } = this.settings;
        if (onCall) guarded("onCall", () => onCall(report));
    }
}

function pause(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, ms));
}
