"""The names of the API's operations, for generated clients, and what its groups are.

A name is what the operation does, in the words of the clients: chosen once, and never made of a path. An operation that
is not here has no place in the document, and the service does not start with it.
"""

from __future__ import annotations

OPERATION_IDS: dict[str, str] = {
    "PUT /v1/profiles/{profile_id}": "declareProfile",
    "DELETE /v1/profiles/{profile_id}": "deleteProfile",
    "POST /v1/profiles/{profile_id}/revocations": "revokeUrls",
    "PUT /v1/profiles/{profile_id}/deactivation": "deactivateProfile",
    "DELETE /v1/profiles/{profile_id}/deactivation": "reactivateProfile",
    "PUT /v1/profiles/{profile_id}/report-flag": "setReportFlag",
    "POST /v1/profiles/{profile_id}/image": "uploadImage",
    "GET /v1/images/{image_id}": "getImage",
    "DELETE /v1/images/{image_id}": "deleteImage",
    "GET /v1/images/{image_id}/receipts": "listImageReceipts",
    "POST /v1/profiles/{profile_id}/export": "requestExport",
    "GET /v1/profiles/{profile_id}/export": "getExport",
    "DELETE /v1/profiles/{profile_id}/export": "deleteExport",
    "GET /v1/profiles/{profile_id}/export/file": "downloadExport",
    "POST /v1/decisions": "decide",
    "POST /v1/explain": "explainDecisions",
    "GET /v1/feed": "pollFeed",
    "POST /v1/feed/profiles": "getProfileViews",
    "GET /v1/feed/keys": "getDelegatedKeys",
    "GET /v1/feed/policy/{version}": "getBundleInUse",
    "POST /v1/feed/report": "reportLocalDecisions",
    "POST /access/v1/evaluation": "evaluateAccess",
    "POST /access/v1/evaluations": "evaluateAccessBatch",
    "POST /access/v1/search/resource": "searchResources",
    "POST /access/v1/search/subject": "searchSubjects",
    "POST /access/v1/search/action": "searchActions",
    "GET /.well-known/authzen-configuration": "getAuthZenConfiguration",
    "POST /v1/blocks": "blockViewer",
    "DELETE /v1/blocks/{profile_id}/{viewer_id}": "unblockViewer",
    "GET /v1/caller": "getCaller",
    "POST /v1/canaries": "plantCanary",
    "GET /v1/policy": "getPolicyStatus",
    "GET /v1/policy/bundle": "getActiveBundle",
    "GET /v1/policy/bundle/{version}": "getBundle",
    "DELETE /v1/policy/bundle/{version}": "withdrawBundle",
    "POST /v1/policy/activate": "activatePolicy",
    "PUT /v1/policy/candidate": "setCandidatePolicy",
    "DELETE /v1/policy/candidate": "withdrawCandidatePolicy",
    "POST /v1/policy/emergency": "activateEmergencyPolicy",
    "GET /v1/policy/progress": "listRenderRuns",
    "GET /v1/policy/counters": "getDecisionCounters",
    "POST /v1/policy/explain": "explainPolicy",
    "GET /a/{name}.{extension}": "getRendition",
    "POST /v1/traces": "requestTrace",
    "GET /v1/traces/{trace_id}": "getTrace",
    "DELETE /v1/traces/{trace_id}": "deleteTrace",
    "POST /v1/takedowns": "placeTakedown",
    "GET /v1/takedowns": "listTakedowns",
    "GET /v1/takedowns/{takedown_id}": "getTakedown",
    "GET /v1/takedowns/{takedown_id}/receipts": "listTakedownReceipts",
    "POST /v1/takedowns/{takedown_id}/matches/{image_id}": "decideTakedownMatch",
    "POST /v1/takedowns/{takedown_id}/undo": "undoTakedown",
    "POST /v1/takedowns/{takedown_id}/review": "requestTakedownReview",
    "GET /v1/takedowns/{takedown_id}/review": "getTakedownReview",
    "GET /v1/takedowns/{takedown_id}/review/pictures/{review_id}": "getReviewPicture",
    "POST /v1/import-notifications": "notifyOfImports",
    "POST /v1/holds": "placeHold",
    "GET /v1/holds": "listHolds",
    "GET /v1/holds/{hold_id}": "getHold",
    "POST /v1/holds/{hold_id}/approvals": "approveHoldEnd",
    "GET /.well-known/c2pa-soft-binding-resolution": "discoverManifestResolution",
    "GET /v1/c2pa/services/capabilities": "getManifestCapabilities",
    "GET /v1/c2pa/services/status": "getManifestServiceStatus",
    "GET /v1/c2pa/services/supportedAlgorithms": "listSoftBindingAlgorithms",
    "GET /v1/c2pa/matches/byBinding": "matchManifestsByBinding",
    "POST /v1/c2pa/matches/byBinding": "matchManifestsByLargeBinding",
    "POST /v1/c2pa/matches/byContent": "matchManifestsByContent",
    "POST /v1/c2pa/matches/byReference": "matchManifestsByReference",
    "GET /v1/c2pa/manifests/{manifestId}": "getManifest",
    "GET /.well-known/nightlight-webhooks.jwks.json": "getWebhookKeys",
}

TAGS: dict[str, str] = {
    "profiles": "What the platform says of an account, and the upload of its picture.",
    "images": "One upload: how it is getting on, its erasure, and the receipts of that.",
    "decisions": "What a viewer gets of each profile, and, for operators, why.",
    "blocks": "Who is to see nothing of whom.",
    "feed": "For processes of the platform that decide by themselves: views, keys, bundles, and their reports.",
    "authzen": "The same decisions by the OpenID Authorization API 1.0.",
    "pictures": "What viewers fetch: renditions, by the signed URLs of decisions.",
    "exports": "A person's own data, put together for them.",
    "takedowns": "Notices that hide a picture and every copy of it.",
    "traces": "Where a copy that was found elsewhere comes from.",
    "holds": "Legal and safeguarding holds, which keep what would be erased.",
    "policy": "For operators and the privacy team: bundles, candidates, emergencies, counters.",
    "canaries": "Profiles that nobody has a reason to ask for: whoever does is a scraper.",
    "arrivals": "Notifications of pictures that were put into other buckets.",
    "callers": "Who a token is, so that a client can tell at its start whether all is set up.",
    "provenance": "Manifests (C2PA) of renditions whose metadata is gone: the Soft Binding Resolution API.",
    "webhooks": "The keys that webhooks are signed with.",
}

DESCRIPTION = """\
Nightlight protects minors' profile pictures: uploads come in, policies decide, and viewers who are no connections get a
low-resolution rendition only.

A platform's backend declares each profile, uploads its picture, and asks for decisions: URLs to show, one for each
profile, for this viewer and this place. Viewers never call this API: they fetch pictures by the URLs.

Errors are problem documents (RFC 9457). `code` is stable, `detail` is for people, and `errors` has a JSON pointer
(RFC 6901) to each part of the request at fault. Ids are the platform's own: 1 to 256 characters that can be seen,
percent-encoded in paths. A request has at most 500 items. Changes answer with the header `Nightlight-Consistency`; a
decision that is given it decides by no less than that change.
"""
