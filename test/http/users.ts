import type { AppOptions } from "../../src/config/options.js";
import { bearer, ownersAuth } from "../support/owners-auth.js";
import { type HttpApp, openHttpApp } from "./app.js";

export type Row = Record<string, unknown>;

/** Requests of one user. */
export function as(app: HttpApp, name: string) {
  return async (method: string, path: string, body?: unknown) => {
    const response = await app.request(method, path, body, { headers: bearer(name) });
    const text = await response.text();
    return { status: response.status, body: (text === "" ? null : JSON.parse(text)) as Row, headers: response.headers };
  };
}

/** An app whose callers see what is theirs, and two of them. */
export async function openOwned(options: Partial<AppOptions> = {}) {
  const app = await openHttpApp({ auth: ownersAuth(), ...options });
  return { app, ann: as(app, "ann"), bob: as(app, "bob") };
}

/** A new thread's id. */
export const thread = async (user: ReturnType<typeof as>, metadata: object = {}) =>
  (await user("POST", "/threads", { metadata })).body["thread_id"] as string;
