import { lookup as systemLookup, type LookupAddress } from "node:dns";
import * as http from "node:http";
import * as https from "node:https";
import { isIP, type LookupFunction } from "node:net";
import type { DeliveryAnswer } from "../core/webhook.js";
import { type AddressPermissions, isAllowedAddress } from "./address-rules.js";
import { NOT_PUBLIC } from "./url-policy.js";

/** Of an answer that nobody looks at: enough for a receiver to end in peace. */
const MAX_ANSWER_BYTES = 16 * 1024;

/** All addresses of a name. */
export type Resolve = (hostname: string) => Promise<readonly LookupAddress[]>;

export interface SendOptions {
  readonly addresses: AddressPermissions;
  /** For connecting, sending, and the head of the answer together. */
  readonly timeoutMs: number;
  /** Default: the system's resolver. */
  readonly resolve?: Resolve;
  /** Certificates to trust beside the system's; for tests. */
  readonly ca?: string;
}

/**
 * POST a body. The address that is connected to is the one that was checked: names are resolved here, for this one connection, which is
 * used for nothing else. Redirects are not followed: where they lead nobody has allowed.
 * @returns never rejects; errors tell no URL
 */
export function sendRequest(
  request: { readonly url: string; readonly headers: Readonly<Record<string, string>>; readonly body: string },
  options: SendOptions & { readonly signal?: AbortSignal },
): Promise<DeliveryAnswer> {
  const url = new URL(request.url);
  const literal = url.hostname.replaceAll(/^\[|\]$/g, "");
  // Node resolves names by `lookup`, and does not ask it about addresses.
  if (isIP(literal) !== 0 && !isAllowedAddress(literal, options.addresses)) {
    return Promise.resolve({ kind: "failed", error: NOT_PUBLIC });
  }
  const { promise, resolve } = Promise.withResolvers<DeliveryAnswer>();
  const body = Buffer.from(request.body, "utf8");
  const timeout = AbortSignal.timeout(options.timeoutMs);
  const signal = options.signal === undefined ? timeout : AbortSignal.any([timeout, options.signal]);
  const failed = (error: unknown): void =>
    resolve({
      kind: "failed",
      error: timeout.aborted ? `no answer within ${options.timeoutMs} ms` : describe(error),
    });
  let sent: http.ClientRequest;
  try {
    sent = (url.protocol === "https:" ? https : http).request(url, {
      method: "POST",
      headers: { ...request.headers, "content-length": String(body.length) },
      // A connection of its own: a kept one would have been checked for another delivery.
      agent: false,
      lookup: checkedLookup(options),
      signal,
      maxHeaderSize: MAX_ANSWER_BYTES,
      ...(options.ca !== undefined && { ca: options.ca }),
    });
  } catch (error) {
    return Promise.resolve({ kind: "failed", error: describe(error) });
  }
  sent.on("error", failed);
  // Who would change the protocol (101) is left without another event.
  sent.once("close", () => failed(new Error(UNANSWERED)));
  sent.once("response", (answer) => {
    const { statusCode = 0, headers } = answer;
    resolve({ kind: "answered", statusCode, retryAfter: headers["retry-after"] ?? null });
    let bytes = 0;
    answer.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > MAX_ANSWER_BYTES) answer.destroy();
    });
    answer.on("error", () => {});
  });
  sent.end(body);
  return promise;
}

/** Resolves a name and answers only if every address of it may be called: which of them is taken is not ours to say. */
function checkedLookup({ addresses, resolve = resolveBySystem }: SendOptions): LookupFunction {
  return (hostname, lookupOptions, answer) => {
    resolve(hostname).then(
      (found) => {
        const [first] = found;
        if (first === undefined) answer(new Error(NO_ADDRESS), "", 0);
        else if (!found.every(({ address }) => isAllowedAddress(address, addresses))) {
          answer(new Error(NOT_PUBLIC), "", 0);
        } else if (lookupOptions.all === true) answer(null, [...found]);
        else answer(null, first.address, first.family);
      },
      (error: unknown) => answer(error instanceof Error ? error : new Error(String(error)), "", 0),
    );
  };
}

function resolveBySystem(hostname: string): Promise<readonly LookupAddress[]> {
  return new Promise((resolve, reject) => {
    systemLookup(hostname, { all: true, order: "verbatim" }, (error, found) =>
      error ? reject(error) : resolve(found),
    );
  });
}

/** In a few words, and without the URL, which may hold secrets of its receiver. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return "the request failed";
  if (OWN_WORDS.has(error.message)) return error.message;
  const code = "code" in error && typeof error.code === "string" ? error.code : error.name;
  return SAID_OF[code] ?? `the request failed (${code})`;
}

const NO_ADDRESS = "the host has no address";
const UNANSWERED = "the connection ended without an answer";
const OWN_WORDS: ReadonlySet<string> = new Set([NOT_PUBLIC, NO_ADDRESS, UNANSWERED]);

const SAID_OF: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset",
  ENOTFOUND: "the host is not known",
  EAI_AGAIN: "the host could not be resolved",
  EHOSTUNREACH: "the host cannot be reached",
  ENETUNREACH: "the network cannot be reached",
  ETIMEDOUT: "connection timed out",
  ABORT_ERR: "interrupted",
};
