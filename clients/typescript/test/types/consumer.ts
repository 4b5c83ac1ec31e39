// What a platform's compiler says of the client: built by tsc, strictly, against dist/. Nothing here is run.

import { Agent, fetch as undiciFetch } from "undici";

import { NightlightClient, type CallReport, type Decision, type Image, type Options, Problem, ServiceUnreachable } from "nightlight-client";

const options: Options = {
    token: async () => "t",
    relationKeys: { r1: new Uint8Array(32) },
    fetch: (address, init) => undiciFetch(address, { ...init, dispatcher: new Agent() }),
    onCall: ({ operation, outcome, ms }: CallReport) => console.log(operation, outcome, ms.toFixed(1)),
};
const client = new NightlightClient("https://nightlight.internal", options);
export const plain = new NightlightClient("https://nightlight.internal", { token: "t", fetch: globalThis.fetch });

export async function page(relations: Map<string, string>): Promise<string[]> {
    const pairs = [["u-81", "connection"]] as const;
    const mixed: Decision[] = await client.decide({ viewer: "peer", context: "list", items: pairs, viewerId: undefined });
    const decisions = await client.decide({ viewer: "peer", context: "list", items: relations });
    return [...mixed, ...decisions].map((decision) => decision.url);
}

export async function calls(): Promise<void> {
    const image: Image = await client.upload("u-81", new Uint8Array(1), { crop: [0, 0, 9, 9] });
    const token: string = (await client.declare("u-81", { band: "adult", assurance: "verified" })).consistency + (await client.block("a", "b"));
    const { hold_id } = await client.send("get", "/v1/holds/{hold_id}", { path: { hold_id: "x" } });
    const policy = await client.send("get", "/v1/policy", {});
    console.log(image.state, token, hold_id satisfies string, policy);
    // @ts-expect-error: there is no such option
    new NightlightClient("https://x", { token: "t", budget: 7 });
    // @ts-expect-error: the path has a part
    await client.send("get", "/v1/holds/{hold_id}", {});
    // @ts-expect-error: there is no such route
    await client.send("post", "/v1/images/{image_id}", { path: { image_id: "x" } });
    // @ts-expect-error: a word that no notice has
    await client.placeTakedown("0", { kind: "odd", reference: "r" });
}

export function retryable(error: unknown): boolean {
    if (error instanceof Problem) return error.status === 503 && error.errors.every(({ pointer }) => pointer !== "");
    return error instanceof ServiceUnreachable && error.kind !== "tls";
}
