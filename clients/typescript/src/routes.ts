// Types of every call, from the service's own OpenAPI document (schema.d.ts, made by `npm run generate`).

import type { paths } from "./schema.js";

export type Verb = "get" | "put" | "post" | "delete";
/** The paths that have a method. */
export type PathOf<V extends Verb> = { [P in keyof paths]: paths[P] extends Record<V, object> ? P : never }[keyof paths];
type Operation<V extends Verb, P extends PathOf<V>> = paths[P] extends Record<V, infer O> ? O : never;
type Json<C> = C extends { "application/json": infer T } ? T : never;
type BodyOf<O> = O extends { requestBody?: infer B } ? (NonNullable<B> extends { content: infer C } ? Json<C> : never) : never;
type Parameters<O, Kind extends string> = O extends { parameters: Partial<Record<Kind, infer T>> } ? NonNullable<T> : never;
type Member<Name extends string, T> = [T] extends [never] ? unknown : object extends T ? { [N in Name]?: T } : { [N in Name]: T };
type Success<R> = {
    [S in keyof R]: S extends 200 | 201 | 202 ? (R[S] extends { content: infer C } ? Json<C> : undefined) : S extends 204 ? undefined : never;
}[keyof R];

/** What a call is given: the parts of its path, its parameters, its body of JSON. */
export type Given<V extends Verb, P extends PathOf<V>> =
    & Member<"path", Parameters<Operation<V, P>, "path">>
    & Member<"query", Parameters<Operation<V, P>, "query">>
    & Member<"body", BodyOf<Operation<V, P>>>;
/** What a call answers; undefined where that is nothing. */
export type Answered<V extends Verb, P extends PathOf<V>> = Operation<V, P> extends { responses: infer R } ? Success<R> : never;
