// Nightlight's HTTP client. The types of every call come from the service's own OpenAPI document (schema.d.ts); what is
// written here is what a document cannot say: that decisions have a time in which they are made, and that whoever has no
// answer by then shows the placeholder.

export type {
    Declaration, Explained, Export, Image, NoticeReview, Profile, Receipt, Takedown, TakedownMatches, TokenInfo, Trace,
} from "./answers.js";
export type { Waiting } from "./base.js";
export { NightlightClient } from "./client.js";
export type { Notice, Upload } from "./client.js";
export type { Asked, Decision, Item, Items } from "./decisions.js";
export {
    ClientMisconfigured, InvalidId, NightlightError, NotNightlight, Problem, ServiceUnreachable, StillPending,
} from "./errors.js";
export type { ProblemError } from "./errors.js";
export type { Failure, Failures, Kind } from "./failures.js";
export type { RelationKeys } from "./keys.js";
export type { Picture } from "./multipart.js";
export type { CallReport, Fetch, FetchAnswer, FetchInit, Options } from "./options.js";
export { issueProof } from "./proofs.js";
export type { components, paths } from "./schema.js";
export { MAX_WEBHOOK_BYTES, MemorySeen, WebhookReceiver, WebhookRefused, publicKeysOf } from "./webhooks.js";
export type { SeenEvents, WebhookCode, WebhookEvent, WebhookOptions } from "./webhooks.js";
