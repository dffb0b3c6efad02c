import type { Context } from "hono";

/** What @hono/node-server 2 hands to the app beside the request. */
interface NodeEnv {
  readonly incoming?: { readonly socket?: { readonly remoteAddress?: string } };
}

/** Handed to the app with requests of graphs to their own server; nothing that a client sends can look like it. */
export const INTERNAL_ENV: object = Object.freeze({});

/** A graph of this server asks, in its own process. */
export function isInternal(context: Context): boolean {
  return context.env === INTERNAL_ENV;
}

/**
 * Whose request it is: the peer of the connection, or, behind proxies that the deployer has counted, the client that the outermost of
 * them saw. What lies further to the left in `X-Forwarded-For` was written by the client.
 * @param trustedProxyHops how many proxies in front of this server append to `X-Forwarded-For`; 0: the header means nothing
 * @returns the peer also when there are fewer entries than proxies; `null` for a request without a socket
 */
export function remoteAddress(context: Context, trustedProxyHops: number): string | null {
  const { incoming } = (context.env ?? {}) as NodeEnv;
  const peer = incoming?.socket?.remoteAddress ?? null;
  if (trustedProxyHops === 0) return peer;
  const forwarded = context.req.raw.headers.get("x-forwarded-for")?.split(",") ?? [];
  const entry = forwarded.at(-trustedProxyHops)?.trim();
  return entry === undefined || entry === "" ? peer : plainAddress(entry);
}

/** Without a port, and without the brackets of an IPv6 address. */
function plainAddress(entry: string): string {
  const bracketed = /^\[([^\]]+)\](?::\d+)?$/.exec(entry)?.[1];
  if (bracketed !== undefined) return bracketed;
  return /^\d+\.\d+\.\d+\.\d+:\d+$/.test(entry) ? entry.slice(0, entry.indexOf(":")) : entry;
}
