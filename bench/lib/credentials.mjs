// What targets with authentication are asked with, made anew by every process of the client.
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";

const key = `hdl_${randomBytes(32).toString("base64url")}`;
const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const base64 = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

function token() {
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: "https://login.example.com/", aud: "https://agents.example.com", sub: "bench", iat: now, exp: now + 3600 };
  const input = `${base64({ alg: "ES256", kid: "one" })}.${base64(claims)}`;
  return `${input}.${sign("sha256", Buffer.from(input), { key: privateKey, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
}

/** Of the server. */
export const serverEnv = () => ({
  BENCH_KEY: key,
  BENCH_JWK: JSON.stringify({ ...publicKey.export({ format: "jwk" }), kid: "one", alg: "ES256" }),
});

let authorization = null;
/** From here on requests are of who a target knows. */
export function askAs(kind) {
  authorization = kind === "key" ? `Bearer ${key}` : kind === "jwt" ? `Bearer ${token()}` : null;
}
export const credentials = () => (authorization === null ? {} : { authorization });
