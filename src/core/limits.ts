import { createHash } from "node:crypto";
import type { Caller } from "./auth.js";
import { canonicalJson } from "./canonical-json.js";

/** Whether a request may go on. */
export type Admission =
  | { readonly admitted: true }
  /** The next one would be admitted after so long. */
  | { readonly admitted: false; readonly retryAfterMs: number };

export const ADMITTED: Admission = Object.freeze({ admitted: true });

/** Requests per caller: a token bucket for each. Never throws. */
export interface RequestLimiter {
  /** Take one token. @param key as `callerKey` makes it */
  take(key: string): Admission | Promise<Admission>;
  close(): Promise<void>;
}

/** What a caller may have open at once, counted in this process. */
export interface ConcurrencyGauge {
  readonly max: number;
  /** @returns gives it back, once however often it is called; `null`: there are as many as there may be */
  acquire(key: string): (() => void) | null;
}

/** Runs that wait for a worker. */
export interface QueueLimits {
  /** `null`: no limit. */
  readonly perThread: number | null;
  /** `null`: no limit. Counted in this process, of the runs that it took in. */
  readonly perCaller: number | null;
}

/** Where a user says what else tells it from others of its name: its tenant, and the marks of its rows. */
const APART = ["tenant", "metadata"] as const;

/**
 * Under which name a caller is counted: its identity, without one its address. Callers of one name are the same only with the
 * same `user.tenant` and `user.metadata`: another tenant's `ann` must not use up what this one's may do.
 * @param address of the client; `null` when it came without a socket
 */
export function callerKey({ identity, user }: Pick<Caller, "identity" | "user">, address: string | null): string {
  if (identity === null) return addressKey(address);
  const apart = APART.map((name) => user?.[name] ?? null);
  if (apart.every((value) => value === null)) return `id:${identity}`;
  // Of a fixed length: it is a key in Redis, too.
  const digest = createHash("sha256").update(canonicalJson(apart)).digest("base64url");
  return `apart:${digest}:${identity}`;
}

/** An address as it is counted. A network of IPv6 is one: a single host has 2^64 addresses to choose from (RFC 6177). */
export function addressKey(address: string | null): string {
  if (address === null) return "address:unknown";
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, "").replace(/%.*$/, "");
  if (!plain.includes(":")) return `address:${plain}`;
  const [head = "", tail] = plain.toLowerCase().split("::");
  const groups = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const missing = tail === undefined ? 0 : Math.max(0, 8 - groups.length - after.length);
  const all = [...groups, ...Array.from({ length: missing }, () => "0"), ...after];
  return `address:${all
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ""))
    .join(":")}::/64`;
}
