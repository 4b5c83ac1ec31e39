// The methods of a client, one for each route: each id is checked, and each answer is of the shape that the service says.

import * as answers from "./answers.js";
import type {
    Declaration, Export, Image, NoticeReview, Profile, Receipt, Takedown, TakedownMatches, Trace,
} from "./answers.js";
import { BaseClient } from "./base.js";
import { Problem } from "./errors.js";
import { idempotency, part } from "./ids.js";
import { type Picture, isPicture } from "./multipart.js";
import type { components } from "./schema.js";

type Schemas = components["schemas"];
/** What a notice says; it names no person. `received_at` is when its clock began (RFC 3339). */
export type Notice = { kind: "intimate_image" | "child_abuse" | "other"; reference: string; received_at?: string };
/** `crop` is the owner's own: left, top, width and height in pixels of the upright picture. */
export interface Upload { idempotencyKey?: string; crop?: readonly [number, number, number, number] }

// An archive holds the original picture, renditions and a document.
const MOST_EXPORT_BYTES = 1_100_000_000;

/** Speaks to one Nightlight service. One client of a process is enough: it may be shared by all that the process does. */
export class NightlightClient extends BaseClient {
    /** Declare a profile, or assert its band again before it lapses. */
    async declare(profileId: string, declaration: Declaration): Promise<Profile> {
        const body = { region: "unknown", choice: "connections", earlier_pictures: "keep_ceiling", ...declaration };
        return this.call("declare", "put", "/v1/profiles/{profile_id}", { path: of(profileId), body, read: answers.profile });
    }

    /** Delete a profile and all its images. */
    async deleteProfile(profileId: string): Promise<void> {
        return this.call("deleteProfile", "delete", "/v1/profiles/{profile_id}", { path: of(profileId), read: answers.nothing });
    }

    /** Deactivate an account: all is kept, and shown to nobody, its owner included. Returns the consistency token. */
    async deactivate(profileId: string): Promise<string> {
        return this.call("deactivate", "put", "/v1/profiles/{profile_id}/deactivation", { path: of(profileId), read: answers.change });
    }

    /** Take a deactivation back: the picture is shown again, without a new upload. Returns the consistency token. */
    async reactivate(profileId: string): Promise<string> {
        return this.call("reactivate", "delete", "/v1/profiles/{profile_id}/deactivation", { path: of(profileId), read: answers.change });
    }

    /** Hide a reported profile's picture (`reported`) or show it again (`clear`). Returns the consistency token. */
    async setReportFlag(profileId: string, reportFlag: string): Promise<string> {
        const parts = { path: of(profileId), body: { report_flag: reportFlag }, read: answers.change };
        return this.call("setReportFlag", "put", "/v1/profiles/{profile_id}/report-flag", parts);
    }

    /** Make every URL that was given out of a profile's pictures count for nothing. Returns the consistency token. */
    async revoke(profileId: string): Promise<string> {
        return this.call("revoke", "post", "/v1/profiles/{profile_id}/revocations", { path: of(profileId), read: answers.change });
    }

    /** Make a canary of a profile: whoever asks for it from now on is noted as a scraper. */
    async plant(profileId: string): Promise<void> {
        return this.call("plant", "post", "/v1/canaries", { body: of(profileId), read: answers.nothing });
    }

    /** Keep a viewer from seeing a profile, whatever else is said of the two. Returns the consistency token. */
    async block(profileId: string, viewerId: string): Promise<string> {
        return this.call("block", "post", "/v1/blocks", { body: pair(profileId, viewerId), read: answers.change });
    }

    /** Take a block away. Returns the consistency token. */
    async unblock(profileId: string, viewerId: string): Promise<string> {
        const parts = { path: pair(profileId, viewerId), read: answers.change };
        return this.call("unblock", "delete", "/v1/blocks/{profile_id}/{viewer_id}", parts);
    }

    /** Upload a profile's image; when this returns it is safely stored and will be rendered. */
    async upload(profileId: string, picture: Picture, { idempotencyKey, crop }: Upload = {}): Promise<Image> {
        const form = { filename: "picture", content: picture, fields: { ...(crop && { crop: crop.join(",") }) } };
        const parts = { path: of(profileId), form, headers: idempotency(idempotencyKey), read: answers.image };
        return this.call("upload", "post", "/v1/profiles/{profile_id}/image", parts);
    }

    /** Return how an upload is getting on. */
    async image(imageId: string): Promise<Image> {
        return this.call("image", "get", "/v1/images/{image_id}", { path: { image_id: imageId }, read: answers.image });
    }

    /** Return the signed receipts of an image's erasure: `nightlight receipt verify` opens them. */
    async receipts(imageId: string): Promise<Receipt[]> {
        const parts = { path: { image_id: imageId }, read: answers.listed<Receipt>() };
        return this.call("receipts", "get", "/v1/images/{image_id}/receipts", parts);
    }

    /** Delete one image. */
    async deleteImage(imageId: string): Promise<void> {
        return this.call("deleteImage", "delete", "/v1/images/{image_id}", { path: { image_id: imageId }, read: answers.nothing });
    }

    /** Ask where a found copy comes from; it is deleted when the trace ends unless `keep`. */
    async trace(copy: Picture, { keep = false }: { keep?: boolean } = {}): Promise<Trace> {
        const form = { filename: "copy", content: copy, fields: { ...(keep && { keep: "true" }) } };
        return this.call("trace", "post", "/v1/traces", { form, read: answers.trace });
    }

    /** Return how far a trace is, and what came of it. */
    async traceStatus(traceId: string): Promise<Trace> {
        return this.call("traceStatus", "get", "/v1/traces/{trace_id}", { path: { trace_id: traceId }, read: answers.trace });
    }

    /** Forget what a trace led back to, and delete its copy. */
    async deleteTrace(traceId: string): Promise<void> {
        return this.call("deleteTrace", "delete", "/v1/traces/{trace_id}", { path: { trace_id: traceId }, read: answers.nothing });
    }

    /** Ask for a person's own data; `sealTo` is an age recipient that the archive is encrypted to. */
    async exportProfile(profileId: string, sealTo?: string): Promise<Export> {
        const parts = { path: of(profileId), body: { seal_to: sealTo ?? null }, read: answers.exported };
        return this.call("exportProfile", "post", "/v1/profiles/{profile_id}/export", parts);
    }

    /** Return how the export of a profile gets on. */
    async exportStatus(profileId: string): Promise<Export> {
        return this.call("exportStatus", "get", "/v1/profiles/{profile_id}/export", { path: of(profileId), read: answers.exported });
    }

    /** Return the archive of an export that is ready: a ZIP file, or one that is sealed. */
    async exportFile(profileId: string): Promise<Blob> {
        const parts = { path: of(profileId), read: answers.file("repr-digest", ""), mostBytes: MOST_EXPORT_BYTES };
        return this.call("exportFile", "get", "/v1/profiles/{profile_id}/export/file", parts);
    }

    /** Remove the export of a profile before its day is over. */
    async deleteExport(profileId: string): Promise<void> {
        return this.call("deleteExport", "delete", "/v1/profiles/{profile_id}/export", { path: of(profileId), read: answers.nothing });
    }

    /** Place a notice on a picture, or on an image of ours by its id; a worker hides every copy. */
    async placeTakedown(picture: Picture | string, notice: Notice): Promise<Takedown> {
        const read = answers.takedown;
        if (isPicture(picture)) {
            const form = { filename: "picture", content: picture, fields: { notice: JSON.stringify(notice) } };
            return this.call("placeTakedown", "post", "/v1/takedowns", { form, read });
        }
        return this.call("placeTakedown", "post", "/v1/takedowns", { body: { image_id: part("image_id", picture), ...notice }, read });
    }

    /** Return how a notice stands, and its matches. */
    async takedownStatus(takedownId: string): Promise<TakedownMatches> {
        const parts = { path: { takedown_id: takedownId }, read: answers.matches };
        return this.call("takedownStatus", "get", "/v1/takedowns/{takedown_id}", parts);
    }

    /** Say that an image is the notice's picture: it stays hidden. */
    async confirmTakedown(takedownId: string, imageId: string): Promise<void> {
        return this.verdict("confirmTakedown", takedownId, imageId, "confirmed");
    }

    /** Say that an image is another picture: it is rendered again. */
    async clearTakedown(takedownId: string, imageId: string): Promise<void> {
        return this.verdict("clearTakedown", takedownId, imageId, "cleared");
    }

    /** Undo a wrong notice: a worker renders again whatever nothing else keeps hidden. */
    async undoTakedown(takedownId: string, why: string): Promise<Takedown> {
        const parts = { path: { takedown_id: takedownId }, body: { why }, read: answers.takedown };
        return this.call("undoTakedown", "post", "/v1/takedowns/{takedown_id}/undo", parts);
    }

    /** Ask for softened pictures of a notice and of its next matches; the token needs the scope `review`. */
    async askTakedownReview(takedownId: string): Promise<NoticeReview> {
        const parts = { path: { takedown_id: takedownId }, read: answers.review };
        return this.call("askTakedownReview", "post", "/v1/takedowns/{takedown_id}/review", parts);
    }

    /** Return a notice and its matches as a reviewer sees them, with the softened pictures that there are. */
    async takedownReview(takedownId: string): Promise<NoticeReview> {
        const parts = { path: { takedown_id: takedownId }, read: answers.review };
        return this.call("takedownReview", "get", "/v1/takedowns/{takedown_id}/review", parts);
    }

    /** Return a softened picture of a review while it is there, by the `review_id` that the review names. */
    async reviewPicture(takedownId: string, reviewId: string): Promise<Blob> {
        const parts = { path: { takedown_id: takedownId, review_id: reviewId }, read: answers.file("content-type", "image/") };
        return this.call("reviewPicture", "get", "/v1/takedowns/{takedown_id}/review/pictures/{review_id}", parts);
    }

    /** Return what has changed since a cursor; for a process that decides by itself, like what follows (scope `local`). */
    async feed(after?: string): Promise<Schemas["FeedAnswer"]> {
        return this.call("feed", "get", "/v1/feed", { query: { after: after || undefined }, read: answers.object() });
    }

    /** Return what decisions need of up to 500 profiles, within the client's budget. */
    async views(profileIds: Iterable<string>): Promise<Schemas["ViewsAnswer"]> {
        const body = { profile_ids: [...profileIds] };
        return this.callInBudget("views", "post", "/v1/feed/profiles", { body, read: answers.object() });
    }

    /** Return the keys that URLs of today and tomorrow are signed with. */
    async delegatedKeys(): Promise<Schemas["KeysAnswer"]> {
        return this.call("delegatedKeys", "get", "/v1/feed/keys", { read: answers.object() });
    }

    /** Return the bytes of a policy bundle that is in use. */
    async bundleInUse(version: number): Promise<Uint8Array> {
        return this.call("bundleInUse", "get", "/v1/feed/policy/{version}", { path: { version }, read: answers.bundle });
    }

    /** Report how often each combination was decided elsewhere, and who looked like a scraper. */
    async report(counts: Schemas["ReportBody"]["counts"], abuseSignals: Iterable<Schemas["AbuseSignalBody"]>): Promise<void> {
        const body = { counts, abuse_signals: [...abuseSignals] };
        return this.call("report", "post", "/v1/feed/report", { body, read: answers.nothing });
    }

    /** Return the ETag and the bytes of the active policy bundle; undefined if it is still `known`, or none is active. */
    async policyBundle(known?: string): Promise<{ etag: string; bundle: Uint8Array } | undefined> {
        return this.call("policyBundle", "get", "/v1/policy/bundle", {
            headers: { ...(known && { "if-none-match": known }) },
            read: (answer) => {
                if (answer.status === 304) return undefined;
                try {
                    return { bundle: answers.bundle(answer), etag: answer.header("etag") ?? "" };
                } catch (error) {
                    if (error instanceof Problem && error.status === 404 && error.code !== "not_nightlight") return undefined;
                    throw error;
                }
            },
        });
    }

    private async verdict(operation: string, takedownId: string, imageId: string, verdict: "confirmed" | "cleared"): Promise<void> {
        const parts = { path: { takedown_id: takedownId, image_id: imageId }, body: { verdict }, read: answers.nothing };
        return this.call(operation, "post", "/v1/takedowns/{takedown_id}/matches/{image_id}", parts);
    }
}

function of(profileId: string) {
    return { profile_id: part("profile_id", profileId) };
}

function pair(profileId: string, viewerId: string) {
    return { profile_id: part("profile_id", profileId), viewer_id: part("viewer_id", viewerId) };
}
