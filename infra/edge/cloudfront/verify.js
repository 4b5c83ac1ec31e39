// Nightlight at the edge, for CloudFront Functions (runtime 2.0), on viewer requests: lets a request through only with a
// URL that nightlight/delivery/tokens.py signed, and takes its query away, so that the cache goes by path alone.
//
// Put the key ring of NIGHTLIGHT_DELIVERY_SIGNING_KEYS here when the function is deployed, from where it is kept; a
// CloudFront KeyValueStore holds it as well. Let the behaviour's origin be the renditions' bucket (origin access
// control), its response headers policy the headers of infra/edge/nginx/headers.conf, and its custom error response for
// 403 and 404 the placeholder.

import crypto from 'crypto';

const KEYS = {/* 'd1': 'base64 of the key' */};

const PATH = /^\/a\/[a-z2-7]{32}\.(webp|jpg|avif)$/;
const EXPIRY = /^[1-9][0-9]{9}$/;
const SIGNATURE = /^[A-Za-z0-9_-]{22}$/;

function verified(path, expiry, id, signature, now, keys) {
    if (!PATH.test(path) || !EXPIRY.test(expiry) || !SIGNATURE.test(signature) || !Object.keys(keys).includes(id)) {
        return false;
    }
    const root = Buffer.from(keys[id], 'base64'), day = Math.floor(Number(expiry) / 86400);
    const key = Buffer.from(crypto.createHmac('sha256', root).update('day\n' + day).digest('base64'), 'base64');
    const digest = crypto.createHmac('sha256', key).update(path + '\n' + expiry + '\n' + id).digest('base64');
    // By way of base64, which every version of this runtime has a digest in.
    const wanted = Buffer.from(digest, 'base64').slice(0, 16).toString('base64url');
    let difference = 0;
    for (let at = 0; at < wanted.length; at++) {
        difference |= wanted.charCodeAt(at) ^ signature.charCodeAt(at);
    }
    return difference === 0 && Number(expiry) > now;
}

function one(query, name) {
    const found = query[name];
    return found && !found.multiValue ? found.value : '';
}

function handler(event) {
    const request = event.request, query = request.querystring;
    const now = Math.floor(Date.now() / 1000);
    if (!verified(request.uri, one(query, 'e'), one(query, 'k'), one(query, 's'), now, KEYS)) {
        return {statusCode: 404, statusDescription: 'Not Found', headers: {'cache-control': {value: 'no-store'}}};
    }
    request.querystring = {};
    return request;
}
