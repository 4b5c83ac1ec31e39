// Nightlight at the edge, for Cloudflare Workers: lets a request through only with a URL that
// clients/python/nightlight_core/decisions/url_signing.py signed and that nothing has revoked, caches by path alone, and keeps the list of revoked
// pictures (POST /purge, as nightlight/delivery/purge.py sends it).
//
// Secrets: SIGNING_KEYS, the ring of NIGHTLIGHT_DELIVERY_SIGNING_KEYS; PURGE_TOKEN, NIGHTLIGHT_DELIVERY_PURGE_TOKEN.
// Variables: ORIGIN, where the service or another edge answers for the same paths; LIST_AGE_S, the seconds for which the
// list counts after the publisher's last word (180).
// Bindings: REVOKED, a KV namespace for the list. Without it URLs that live longer than a minute are refused.

const PATH = /^\/a\/[a-z2-7]{32}\.(webp|jpg|avif)$/;
const EXPIRY = /^[1-9][0-9]{9}$/;
const SIGNATURE = /^[A-Za-z0-9_-]{22}$/;
// The longest life of a URL without a list, and with one; how long an entry is kept: a day and an hour.
const SHORT_S = 60, DAY_S = 86400, KEPT_S = 90000;
// What Workers' KV keeps at a location before it asks again; 60 is the least that every plan takes.
const CACHED = {cacheTtl: 60};
const MOST_PATHS = 400;
// What reaches a viewer of the origin's headers: those of service/routes/rendition_files.py, and what the bytes are.
const PASSED = [
    'accept-ranges', 'cache-control', 'content-disposition', 'content-length', 'content-security-policy', 'content-type',
    'content-usage', 'cross-origin-resource-policy', 'etag', 'referrer-policy', 'tdm-reservation',
    'x-content-type-options', 'x-robots-tag',
];

export function ring(text) {
    const keys = new Map();
    for (const part of text.split(',')) {
        const at = part.indexOf(':');
        if (at > 0) keys.set(part.slice(0, at).trim(), part.slice(at + 1));
    }
    return keys;
}

// The seconds that a URL has left; 0 if it is forged, malformed or expired.
export async function left(url, keys, now) {
    const [expiry, id, signature] = ['e', 'k', 's'].map((name) => {
        const all = url.searchParams.getAll(name);
        return all.length === 1 ? all[0] : '';
    });
    if (!PATH.test(url.pathname) || !EXPIRY.test(expiry) || !SIGNATURE.test(signature) || !keys.has(id)) return 0;
    const root = Uint8Array.from(atob(keys.get(id)), (character) => character.charCodeAt(0));
    const key = await mac(root, `day\n${Math.floor(Number(expiry) / 86400)}`);
    const digest = (await mac(key, `${url.pathname}\n${expiry}\n${id}`)).slice(0, 16);
    const wanted = btoa(String.fromCharCode(...digest)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
    return alike(wanted, signature) ? Math.max(0, Number(expiry) - now) : 0;
}

async function mac(key, text) {
    const imported = await crypto.subtle.importKey('raw', key, {name: 'HMAC', hash: 'SHA-256'}, false, ['sign']);
    return new Uint8Array(await crypto.subtle.sign('HMAC', imported, new TextEncoder().encode(text)));
}

function alike(one, other) {
    let difference = one.length ^ other.length;
    for (let at = 0; at < one.length; at++) difference |= one.charCodeAt(at) ^ other.charCodeAt(at % other.length);
    return difference === 0;
}

// Whether a picture may be shown: it is not on the list, and it was confirmed lately that the list is complete.
export async function shown(env, path, seconds, now) {
    if (!env.REVOKED) return seconds <= SHORT_S;
    if (seconds > DAY_S) return false;
    try {
        const [at, entry] = await Promise.all([env.REVOKED.get('at', CACHED), env.REVOKED.get(path, CACHED)]);
        const fresh = EXPIRY.test(at ?? '') && Number(at) <= now + SHORT_S && now - Number(at) <= Number(env.LIST_AGE_S ?? 180);
        return fresh && entry === null;
    } catch {
        return false;
    }
}

function nothing(status) {
    return new Response(null, {status, headers: {'Cache-Control': 'no-store'}});
}

async function purge(request, env, origin) {
    const given = request.headers.get('Authorization') || ' ';
    if (request.method !== 'POST' || !env.PURGE_TOKEN || !env.REVOKED || !alike(`Bearer ${env.PURGE_TOKEN}`, given)) {
        return nothing(404);
    }
    let message;
    try {
        message = await request.json();
    } catch {
        message = null;
    }
    const moment = (one) => one === undefined || (Number.isInteger(one) && EXPIRY.test(String(one)));
    if (!message || !Array.isArray(message.paths) || message.paths.length > MOST_PATHS || !moment(message.at) || !moment(message.since)) {
        return nothing(400);
    }
    try {
        const at = message.at === undefined && message.since === undefined ? null : await env.REVOKED.get('at', CACHED);
        if (message.since !== undefined && at === null) return nothing(409);
        const paths = message.paths.filter((path) => typeof path === 'string' && PATH.test(path));
        await Promise.all(paths.map((path) => env.REVOKED.put(path, '1', {expirationTtl: KEPT_S})));
        await Promise.all(paths.map((path) => caches.default.delete(new Request(`${origin}${path}`))));
        if (message.at !== undefined && message.at > Number(at ?? 0)) await env.REVOKED.put('at', String(message.at));
    } catch {
        return nothing(503);
    }
    return nothing(204);
}

async function picture(url, env, context, seconds) {
    const bare = new Request(`${url.origin}${url.pathname}`);
    const cached = await caches.default.match(bare);
    const found = cached ?? await fetch(`${env.ORIGIN}${url.pathname}${url.search}`, {redirect: 'manual'});
    if (found.status !== 200) return nothing(found.status === 404 ? 404 : 502);
    const headers = new Headers();
    for (const name of PASSED) {
        if (found.headers.has(name)) headers.set(name, found.headers.get(name));
    }
    const kept = found.headers.get('Cache-Control') !== 'no-store';
    if (!cached && kept) {
        const copy = found.clone();
        context.waitUntil(caches.default.put(bare, new Response(copy.body, {headers: new Headers([...[...headers].filter(([name]) => name !== 'cache-control'),
            ['Cache-Control', `public, max-age=${seconds}`]])})));
    }
    headers.set('Cache-Control', kept ? `public, max-age=${seconds}, immutable` : 'no-store');
    return new Response(found.body, {status: 200, headers});
}

export default {
    async fetch(request, env, context) {
        const url = new URL(request.url);
        if (url.pathname === '/purge') return purge(request, env, url.origin);
        const now = Math.floor(Date.now() / 1000);
        const seconds = await left(url, ring(env.SIGNING_KEYS), now);
        if (request.method !== 'GET' && request.method !== 'HEAD' || seconds === 0) return nothing(404);
        if (!await shown(env, url.pathname, seconds, now)) return nothing(404);
        try {
            return await picture(url, env, context, seconds);
        } catch {
            return nothing(502);
        }
    },
};
