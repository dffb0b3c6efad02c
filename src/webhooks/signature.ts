import { createHmac } from "node:crypto";

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
