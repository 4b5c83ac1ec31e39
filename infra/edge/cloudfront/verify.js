// Nightlight at the edge, for CloudFront Functions (runtime 2.0), on viewer requests: lets a request through only with a
// URL that clients/python/nightlight_core/decisions/url_signing.py signed and that nothing has revoked, and takes its query away, so that the cache
// goes by path alone. infra/terraform/cloudfront.tf deploys it, with headers.js on viewer responses.
//
// The function's KeyValueStore holds the list of revoked pictures, which nightlight/store/cloudfront.py keeps, and the key
// ring of NIGHTLIGHT_DELIVERY_SIGNING_KEYS: `key_d1` is the base64 of the key d1. Keys may stand here as well.
// LIST_AGE_S are the seconds for which the list counts after the publisher's last word; 0 if there is no store, and then
// URLs that live longer than a minute are refused.

import crypto from 'crypto';
import cf from 'cloudfront';

const KEYS = {/* 'd1': 'base64 of the key' */};
const LIST_AGE_S = 180;

// "$" may match before a final newline; "(?![\s\S])" matches at the end alone.
const PATH = /^\/a\/[a-z2-7]{32}\.(webp|jpg|avif)(?![\s\S])/;
const EXPIRY = /^[1-9][0-9]{9}(?![\s\S])/;
const SIGNATURE = /^[A-Za-z0-9_-]{22}(?![\s\S])/;
const KEY_ID = /^[a-z0-9]{2}(?![\s\S])/;
const SHORT_S = 60, DAY_S = 86400;

const store = LIST_AGE_S > 0 ? cf.kvs() : null;

function verified(path, expiry, id, signature, key) {
    const root = Buffer.from(key, 'base64'), day = Math.floor(Number(expiry) / DAY_S);
    const daily = Buffer.from(crypto.createHmac('sha256', root).update('day\n' + day).digest('base64'), 'base64');
    const digest = crypto.createHmac('sha256', daily).update(path + '\n' + expiry + '\n' + id).digest('base64');
    // By way of base64, which every version of this runtime has a digest in.
    const wanted = Buffer.from(digest, 'base64').slice(0, 16).toString('base64url');
    let difference = 0;
    for (let at = 0; at < wanted.length; at++) {
        difference |= wanted.charCodeAt(at) ^ signature.charCodeAt(at);
    }
    return difference === 0;
}

// Whether a picture may be shown: it is not on the list, and it was confirmed lately that the list is complete.
async function shown(path, seconds, now) {
    if (store === null) {
        return seconds > 0 && seconds <= SHORT_S;
    }
    if (seconds <= 0 || seconds > DAY_S) {
        return false;
    }
    const at = await store.get('at');
    const fresh = EXPIRY.test(at) && Number(at) <= now + SHORT_S && now - Number(at) <= LIST_AGE_S;
    return fresh && !await store.exists(path);
}

async function allowed(request, now) {
    const query = request.querystring, path = request.uri;
    const expiry = one(query, 'e'), id = one(query, 'k'), signature = one(query, 's');
    if (!PATH.test(path) || !EXPIRY.test(expiry) || !SIGNATURE.test(signature) || !KEY_ID.test(id)) {
        return false;
    }
    const here = Object.keys(KEYS).includes(id);
    const key = here ? KEYS[id] : store !== null && await store.exists('key_' + id) ? await store.get('key_' + id) : '';
    return key !== '' && verified(path, expiry, id, signature, key) && await shown(path, Number(expiry) - now, now);
}

function one(query, name) {
    const found = query[name];
    return found && !found.multiValue ? found.value : '';
}

async function handler(event) {
    const request = event.request;
    let good = false;
    try {
        good = await allowed(request, Math.floor(Date.now() / 1000));
    } catch (error) {
        good = false;
    }
    if (!good) {
        return {statusCode: 404, statusDescription: 'Not Found', headers: {'cache-control': {value: 'no-store'}}};
    }
    request.querystring = {};
    return request;
}
