/** The service's answer to a request that it did not carry out (RFC 9457). */
export class Problem extends Error {
    constructor(readonly status: number, readonly code: string, readonly detail: string) {
        super(`${status} ${code}: ${detail}`);
        this.name = "Problem";
    }
}
