const SECRET = /^whsec_([A-Za-z0-9+/]+={0,2})$/;
const MIN_BYTES = 24;
const MAX_BYTES = 64;

/** The rule that {@link signingKey} checks, as a sentence. */
export const SECRET_RULE = `must be whsec_ and the base64 of ${MIN_BYTES} to ${MAX_BYTES} random bytes`;

/** The key in a secret of Standard Webhooks (specification 1.0); `null` when it is none. */
export function signingKey(secret: string): Buffer | null {
  const encoded = SECRET.exec(secret)?.[1];
  if (encoded === undefined) return null;
  const key = Buffer.from(encoded, "base64");
  return key.length >= MIN_BYTES && key.length <= MAX_BYTES ? key : null;
}
