import { createHmac } from "node:crypto";

/** A secret of Standard Webhooks: `whsec_` and the base64 of 24 to 64 bytes. */
const SECRET = /^whsec_([A-Za-z0-9+/]+={0,2})$/;
const MIN_BYTES = 24;
const MAX_BYTES = 64;

/** The key in a secret; `null` when it is none. */
export function signingKey(secret: string): Buffer | null {
  const encoded = SECRET.exec(secret)?.[1];
  if (encoded === undefined) return null;
  const key = Buffer.from(encoded, "base64");
  return key.length >= MIN_BYTES && key.length <= MAX_BYTES ? key : null;
}

/**
 * Headers of a signed message (https://www.standardwebhooks.com, specification 1.0). All keys sign: receivers have the old secret or
 * the new one while secrets are exchanged.
 * @param message.timestampS epoch seconds
 */
export function signatureHeaders(
  message: { readonly id: string; readonly timestampS: number; readonly body: string },
  keys: readonly Buffer[],
): Readonly<Record<string, string>> {
  const { id, timestampS, body } = message;
  const signatures = keys.map((key) => {
    const digest = createHmac("sha256", key).update(`${id}.${timestampS}.${body}`).digest("base64");
    return `v1,${digest}`;
  });
  return {
    "webhook-id": id,
    "webhook-timestamp": String(timestampS),
    ...(signatures.length > 0 && { "webhook-signature": signatures.join(" ") }),
  };
}
