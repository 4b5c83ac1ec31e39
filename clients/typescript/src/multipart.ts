// A multipart body (RFC 7578) as a Blob: every `fetch` takes one, while each library takes its own FormData only.

/** Bytes of a picture. */
export type Picture = Blob | Uint8Array | ArrayBuffer;

/** One file named `file`, and fields of text. */
export interface Form { filename: string; content: Picture; fields: Readonly<Record<string, string>> }

export function formBody(form: Form): { body: Blob; type: string } {
    const boundary = Array.from({ length: 4 }, () => Math.random().toString(36).slice(2, 10)).join("");
    const fields = Object.entries(form.fields).map(([name, value]) =>
        `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`);
    const head = `${fields.join("")}--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${form.filename}"\r\n` +
        "Content-Type: application/octet-stream\r\n\r\n";
    const content = form.content as Blob | Uint8Array<ArrayBuffer> | ArrayBuffer;
    return { body: new Blob([head, content, `\r\n--${boundary}--\r\n`]), type: `multipart/form-data; boundary=${boundary}` };
}
