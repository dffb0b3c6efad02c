import type { JsonObject } from "../core/json.js";
import { isJsonObject } from "../core/json.js";
import { isTrustedUrl } from "./jwt-options.js";

const TIMEOUT_MS = 5_000;
/** Discovery documents have some kB, key sets some tens. */
const MAX_BYTES = 512 * 1024;

/**
 * A JSON object from an issuer. Redirects are not followed: who may send us elsewhere decides who may log in.
 * @throws Error that names the URL and what is wrong
 */
export async function fetchJsonObject(url: string): Promise<JsonObject> {
  if (!isTrustedUrl(url)) throw new Error(`${url} is neither https nor of this machine`);
  const response = await fetch(url, {
    headers: { accept: "application/json" },
    redirect: "error",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Error(`${url} answered ${response.status}`);
  }
  const text = await limitedText(response, url);
  const value: unknown = JSON.parse(text);
  if (!isJsonObject(value)) throw new Error(`${url} answered no JSON object`);
  return value;
}

async function limitedText(response: Response, url: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > MAX_BYTES) throw new Error(`${url} answered more than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/**
 * Where an issuer's keys are (OpenID Connect Discovery 1.0 §4).
 * @throws Error when its document is not there or speaks for another issuer
 */
export async function discoverJwksUri(issuer: string): Promise<string> {
  const url = `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
  const document = await fetchJsonObject(url);
  const { issuer: named, jwks_uri: jwksUri } = document;
  if (named !== issuer) throw new Error(`${url} speaks for ${JSON.stringify(named)} and not for ${issuer}`);
  if (typeof jwksUri !== "string") throw new TypeError(`${url} has no jwks_uri`);
  // An issuer on the network may not point at services of this machine.
  if (!issuer.startsWith("http:") && !jwksUri.startsWith("https:")) throw new Error(`${url} names keys without https`);
  return jwksUri;
}
