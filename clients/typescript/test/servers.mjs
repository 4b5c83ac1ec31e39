// Servers of a test that answer as it says. One that a failed test leaves open does not keep the process from ending.

import { createServer } from "node:http";

/** The server and its URL. */
export async function serve(handler) {
    const server = createServer(handler).unref();
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    const close = async () => {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
    };
    return { server, url: `http://127.0.0.1:${server.address().port}`, close };
}

/** A server that gives one answer to everything; `sent` are the requests that came. */
export async function answering(status, body, headers = {}) {
    const sent = [];
    const text = typeof body === "string" ? body : JSON.stringify(body);
    const served = await serve((request, answer) => {
        sent.push(request);
        answer.writeHead(status, { "Content-Type": "application/json", ...headers });
        answer.end(text);
    });
    return { ...served, sent };
}

/** A URL where nobody listens. */
export async function nobody() {
    const { url, close } = await serve(() => {});
    await close();
    return url;
}

/** What a call throws; fails if it throws nothing. */
export async function thrown(call) {
    try {
        await (typeof call === "function" ? call() : call);
    } catch (error) {
        return error;
    }
    throw new Error("nothing was thrown");
}
