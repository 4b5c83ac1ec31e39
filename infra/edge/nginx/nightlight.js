// Nightlight at the edge, for nginx with njs: checks signed URLs as clients/python/nightlight_core/decisions/url_signing.py makes them, signs
// requests to the bucket (AWS Signature Version 4), and forgets pictures when it is told to.
//
// The environment of nginx holds NIGHTLIGHT_EDGE_KEYS_FILE (a file with the ring, read for each URL that is checked: a
// rotation needs no restart) or else NIGHTLIGHT_DELIVERY_SIGNING_KEYS (the ring), NIGHTLIGHT_STORE_ACCESS_KEY_ID and
// NIGHTLIGHT_STORE_SECRET_ACCESS_KEY (an identity that may get renditions and nothing else), NIGHTLIGHT_STORE_REGION,
// NIGHTLIGHT_EDGE_S3_HOST (the Host that the bucket's server is asked by), NIGHTLIGHT_EDGE_PURGE_TOKEN,
// NIGHTLIGHT_EDGE_CACHE (the caches' folder; its subfolder revoked/a must be there, and be writable by nginx) and
// NIGHTLIGHT_EDGE_LIST_AGE_S: the seconds for which the list of revoked pictures counts after the publisher's last word
// (60 is good); 0 where nobody publishes one, and then URLs that live longer than a minute are refused. Unset, this edge
// refuses what it has been told of and does not notice when nobody tells it anything.

import crypto from 'crypto';
import fs from 'fs';

// "$" matches before a final newline here (PCRE); "(?![\s\S])" matches at the end alone.
const SIGNATURE = /^[A-Za-z0-9_-]{22}(?![\s\S])/;
const EXPIRY = /^[1-9][0-9]{9}(?![\s\S])/;
const PATH = /^\/a\/[a-z2-7]{32}\.(webp|jpg|avif)(?![\s\S])/;
const DIGEST = /^[0-9a-f]{64}(?![\s\S])/;
const EMPTY = crypto.createHash('sha256').update('').digest('hex');
const MOST_PATHS = 10000;
// The longest life of a URL is a day.
const KEPT_MS = 25 * 3600 * 1000;
// The longest life of a URL where there is no list, and how often a URL that was checked is checked again, in seconds.
const SHORT_S = 60, RECHECK_S = 30;
const LIST_AGE = process.env.NIGHTLIGHT_EDGE_LIST_AGE_S || '', LIST_AGE_S = Number(LIST_AGE);
// What may reach a viewer of the headers that the bucket's server sends. All else tells too much, or may one day.
const PASSED = ['content-type', 'content-length'];

const KEYS_FILE = process.env.NIGHTLIGHT_EDGE_KEYS_FILE || '';
const given = readRing(process.env.NIGHTLIGHT_DELIVERY_SIGNING_KEYS || '');

// The ring of this moment; without a key where its file cannot be read, and then no URL is good.
function ringNow() {
    if (!KEYS_FILE) {
        return given;
    }
    try {
        return readRing(fs.readFileSync(KEYS_FILE, 'utf8').trim());
    } catch (error) {
        return {};
    }
}

// What keys are told apart by: as clients/python/nightlight_core/live_files.py makes it.
function fingerprints(ring) {
    return Object.keys(ring).map(function (id) {
        return id + '-' + mac(ring[id], 'nightlight key fingerprint/1').toString('hex').slice(0, 8);
    });
}

function readRing(text) {
    const keys = {};
    text.split(',').forEach(function (part) {
        const at = part.indexOf(':');
        if (at > 0) {
            keys[part.slice(0, at).trim()] = Buffer.from(part.slice(at + 1), 'base64');
        }
    });
    return keys;
}

// The seconds that a URL has left; 0 if it is forged, malformed or expired. A forged one is told nothing of clocks.
function left(r) {
    const path = r.uri, expiry = r.args.e, id = r.args.k, signature = r.args.s;
    // Written in one way only: what is kept by the URL must not be kept by others that mean the same.
    if (r.variables.request_uri !== path + '?e=' + expiry + '&k=' + id + '&s=' + signature) {
        return '0';
    }
    if (typeof expiry !== 'string' || typeof id !== 'string' || typeof signature !== 'string') {
        return '0';
    }
    const ring = ringNow(), key = Object.prototype.hasOwnProperty.call(ring, id) ? ring[id] : null;
    if (!key || key.length < 32 || !PATH.test(path) || !EXPIRY.test(expiry) || !SIGNATURE.test(signature)) {
        return '0';
    }
    const day = Math.floor(Number(expiry) / 86400);
    const digest = mac(mac(key, 'day\n' + day), path + '\n' + expiry + '\n' + id);
    if (!alike(digest.slice(0, 16).toString('base64url'), signature)) {
        return '0';
    }
    const now = Math.floor(Date.now() / 1000), seconds = Math.max(0, Number(expiry) - now);
    return String(seconds > (LIST_AGE === '' || LIST_AGE_S > 0 ? 86400 : SHORT_S) || !listed(now) ? 0 : seconds);
}

// Whether the list of revoked pictures can be relied on: the publisher has confirmed it lately. True without a list.
function listed(now) {
    if (!(LIST_AGE_S > 0)) {
        return true;
    }
    const at = confirmedAt();
    return at <= now + SHORT_S && now - at <= LIST_AGE_S;
}

// Until when the list was complete, in Unix seconds; 0 if nobody has said so.
function confirmedAt() {
    try {
        return Number(fs.readFileSync(process.env.NIGHTLIGHT_EDGE_CACHE + '/revoked/at')) || 0;
    } catch (error) {
        return 0;
    }
}

// When a URL that was found good is to be checked again, as X-Accel-Expires writes it.
function recheck(r) {
    return '@' + Math.min(Number(r.args.e), Math.floor(Date.now() / 1000) + RECHECK_S);
}

// Lets nothing through of what the bucket's server says but what is on the list. The ETag is of the bytes, as the service
// makes it: the server's own may be another after each writing.
function headers(r) {
    const digest = r.headersOut['x-amz-meta-sha256'];
    stripped(r);
    r.headersOut['Accept-Ranges'] = 'bytes';
    if (typeof digest === 'string' && DIGEST.test(digest)) {
        r.headersOut.ETag = '"' + digest.slice(0, 32) + '"';
    }
}

function stripped(r) {
    Object.keys(r.headersOut).forEach(function (name) {
        if (PASSED.indexOf(name.toLowerCase()) < 0) {
            delete r.headersOut[name];
        }
    });
}

// When the URL ends, as HTTP writes it.
function expires(r) {
    return new Date(Number(r.args.e) * 1000).toUTCString();
}

// Compare in a time that does not depend on where the first difference is.
function alike(one, other) {
    let difference = one.length ^ other.length;
    for (let at = 0; at < one.length; at++) {
        difference |= one.charCodeAt(at) ^ other.charCodeAt(at % other.length);
    }
    return difference === 0;
}

function moment() {
    return new Date().toISOString().replace(/[:-]|\.[0-9]{3}/g, '');
}

// The moment and the Authorization header of one GET from the bucket, as "moment|header": both are of one instant.
function signed(r) {
    const now = moment(), day = now.slice(0, 8);
    const region = process.env.NIGHTLIGHT_STORE_REGION || 'us-east-1';
    const scope = day + '/' + region + '/s3/aws4_request';
    const names = 'host;x-amz-content-sha256;x-amz-date';
    const canonical = ['GET', r.variables.nightlight_bucket_path + r.uri, '',
        'host:' + process.env.NIGHTLIGHT_EDGE_S3_HOST, 'x-amz-content-sha256:' + EMPTY, 'x-amz-date:' + now, '',
        names, EMPTY].join('\n');
    const hashed = crypto.createHash('sha256').update(canonical).digest('hex');
    const text = ['AWS4-HMAC-SHA256', now, scope, hashed].join('\n');
    let key = mac('AWS4' + process.env.NIGHTLIGHT_STORE_SECRET_ACCESS_KEY, day);
    key = mac(mac(mac(key, region), 's3'), 'aws4_request');
    const signature = crypto.createHmac('sha256', key).update(text).digest('hex');
    return now + '|AWS4-HMAC-SHA256 Credential=' + process.env.NIGHTLIGHT_STORE_ACCESS_KEY_ID + '/' + scope +
        ', SignedHeaders=' + names + ', Signature=' + signature;
}

function mac(key, text) {
    return crypto.createHmac('sha256', key).update(text).digest();
}

// The hook of the publisher, with the bearer token: {"paths": ["/a/...", ...]} names what is revoked; "at" says until when,
// in Unix seconds, all that was revoked has been named. Who goes on from an earlier word says so by "since": 409 if that
// never came here. Only files of the cache can be meant. GET says which keys this edge has read.
function purge(r) {
    const token = process.env.NIGHTLIGHT_EDGE_PURGE_TOKEN || '';
    if (!token || !alike('Bearer ' + token, r.headersIn.Authorization || ' ')) {
        r.return(404);
        return;
    }
    if (r.method === 'GET') {
        r.headersOut['Content-Type'] = 'application/json';
        r.return(200, JSON.stringify({keys: {urls: fingerprints(ringNow())}}));
        return;
    }
    if (r.method !== 'POST') {
        r.return(404);
        return;
    }
    let message;
    try {
        message = JSON.parse(r.requestText);
    } catch (error) {
        message = null;
    }
    if (!message || !Array.isArray(message.paths) || message.paths.length > MOST_PATHS || !moments(message)) {
        r.return(400);
        return;
    }
    if (message.since !== undefined && confirmedAt() < message.since) {
        r.return(409);
        return;
    }
    try {
        message.paths.forEach(function (path) {
            if (typeof path === 'string' && PATH.test(path)) {
                forget(path);
            }
        });
        if (message.at !== undefined) {
            confirm(message.at);
        }
        if (Math.random() < 0.01) {
            tidy();
        }
    } catch (error) {
        r.return(503);
        return;
    }
    r.return(204);
}

// Whether "at" and "since" are moments, where they are said.
function moments(message) {
    return [message.at, message.since].every(function (moment) {
        return moment === undefined || Number.isInteger(moment) && moment > 0 && moment < 1e10;
    });
}

// An older word never takes the place of a newer one. Written aside first: half a number is no moment.
function confirm(at) {
    const file = process.env.NIGHTLIGHT_EDGE_CACHE + '/revoked/at';
    if (at > confirmedAt()) {
        fs.writeFileSync(file + '.' + process.pid, String(at));
        fs.renameSync(file + '.' + process.pid, file);
    }
}

// Mark the path, so that no URL of it is served again, and drop the picture, which proxy_cache_path's levels=1:2 lays out
// under the MD5 of proxy_cache_key.
function forget(path) {
    const cache = process.env.NIGHTLIGHT_EDGE_CACHE;
    fs.writeFileSync(cache + '/revoked' + path, '');
    const name = crypto.createHash('md5').update(path).digest('hex');
    try {
        fs.unlinkSync(cache + '/pictures/' + name.slice(-1) + '/' + name.slice(-3, -1) + '/' + name);
    } catch (error) {
        // It was never cached.
    }
}

// Marks are worth nothing once every URL of before has expired.
function tidy() {
    const folder = process.env.NIGHTLIGHT_EDGE_CACHE + '/revoked/a/', before = Date.now() - KEPT_MS;
    fs.readdirSync(folder).forEach(function (name) {
        if (PATH.test('/a/' + name) && fs.statSync(folder + name).mtimeMs < before) {
            fs.unlinkSync(folder + name);
        }
    });
}

export default {expires, headers, left, purge, recheck, signed, stripped};
