// A multipart body (RFC 7578) as a Blob: every `fetch` takes one, while each library takes its own FormData only.

import { randomUUID } from "node:crypto";

import { InvalidId } from "./errors.js";

/** Bytes of a picture. */
export type Picture = Blob | Uint8Array | ArrayBuffer;

/** One file named `file`, and fields of text. */
export interface Form { filename: string; content: Picture; fields: Readonly<Record<string, string>> }

export function isPicture(value: unknown): value is Picture {
    return value instanceof Uint8Array || value instanceof ArrayBuffer || value instanceof Blob;
}

/** Return the body of a form, and its type; throw InvalidId for what is no picture, which a Blob would take as text. */
export function formBody(form: Form): { body: Blob; type: string } {
    if (!isPicture(form.content)) throw new InvalidId("file", "a picture is a Blob, a Uint8Array or an ArrayBuffer");
    const boundary = randomUUID();  // nobody can put it into a picture beforehand
    const fields = Object.entries(form.fields).map(([name, value]) =>
        `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`);
    const head = `${fields.join("")}--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${form.filename}"\r\n` +
        "Content-Type: application/octet-stream\r\n\r\n";
    const content = form.content as Blob | Uint8Array<ArrayBuffer> | ArrayBuffer;
    return { body: new Blob([head, content, `\r\n--${boundary}--\r\n`]), type: `multipart/form-data; boundary=${boundary}` };
}
