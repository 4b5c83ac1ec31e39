// Nightlight at the edge, for Cloudflare Workers: lets a request through only with a URL that
// nightlight/delivery/tokens.py signed, and caches by path alone.
//
// Secrets: SIGNING_KEYS, the ring of NIGHTLIGHT_DELIVERY_SIGNING_KEYS. Variables: ORIGIN, where the service or another
// edge answers for the same paths.

const PATH = /^\/a\/[a-z2-7]{32}\.(webp|jpg|avif)$/;
const EXPIRY = /^[1-9][0-9]{9}$/;
const SIGNATURE = /^[A-Za-z0-9_-]{22}$/;

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
    let difference = 0;
    for (let at = 0; at < wanted.length; at++) difference |= wanted.charCodeAt(at) ^ signature.charCodeAt(at);
    return difference === 0 ? Math.max(0, Number(expiry) - now) : 0;
}

async function mac(key, text) {
    const imported = await crypto.subtle.importKey('raw', key, {name: 'HMAC', hash: 'SHA-256'}, false, ['sign']);
    return new Uint8Array(await crypto.subtle.sign('HMAC', imported, new TextEncoder().encode(text)));
}

export default {
    async fetch(request, env, context) {
        const url = new URL(request.url);
        const seconds = await left(url, ring(env.SIGNING_KEYS), Math.floor(Date.now() / 1000));
        if (request.method !== 'GET' && request.method !== 'HEAD' || seconds === 0) {
            return new Response(null, {status: 404, headers: {'Cache-Control': 'no-store'}});
        }
        const bare = new Request(`${url.origin}${url.pathname}`);
        const cached = await caches.default.match(bare);
        const found = cached ?? await fetch(`${env.ORIGIN}${url.pathname}${url.search}`);
        if (!cached && found.status === 200 && found.headers.get('Cache-Control') !== 'no-store') {
            context.waitUntil(caches.default.put(bare, found.clone()));
        }
        const answer = new Response(found.body, found);
        if (found.headers.get('Cache-Control') !== 'no-store') {
            answer.headers.set('Cache-Control', `public, max-age=${seconds}, immutable`);
        }
        return answer;
    },
};
