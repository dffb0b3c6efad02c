import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from "jose";

/** An issuer of tokens on 127.0.0.1 with its discovery document and its keys, and how often each was asked for. */
export class TokenIssuer {
  readonly hits = { discovery: 0, keys: 0 };
  /** What `/.well-known/openid-configuration` answers beside the defaults. */
  document: Record<string, unknown> = {};
  /** Answered instead of keys. */
  status = 200;
  body: string | null = null;
  #keys: JWK[] = [];
  readonly #private = new Map<string, CryptoKey>();
  readonly #server: Server;
  #origin = "";

  constructor() {
    this.#server = createServer((request, response) => {
      const send = (status: number, body: unknown) => {
        response.writeHead(status, { "content-type": "application/json" });
        response.end(typeof body === "string" ? body : JSON.stringify(body));
      };
      if (request.url === "/.well-known/openid-configuration") {
        this.hits.discovery += 1;
        send(200, { issuer: this.url, jwks_uri: `${this.url}/keys`, ...this.document });
      } else if (request.url === "/keys") {
        this.hits.keys += 1;
        send(this.status, this.body ?? { keys: this.#keys });
      } else send(404, {});
    });
  }

  get url(): string {
    return this.#origin;
  }

  get jwks(): { readonly keys: readonly JWK[] } {
    return { keys: this.#keys };
  }

  async open(): Promise<this> {
    await new Promise<void>((resolve) => void this.#server.listen(0, "127.0.0.1", resolve));
    this.#origin = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return this;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => void this.#server.close(resolve));
  }

  /** Make a key and publish it. */
  async addKey(kid: string, alg = "ES256"): Promise<CryptoKey> {
    const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
    this.#private.set(kid, privateKey);
    this.#keys.push({ ...(await exportJWK(publicKey)), kid, alg });
    return publicKey;
  }

  publish(keys: readonly JWK[]): void {
    this.#keys = [...keys];
  }

  removeKey(kid: string): void {
    this.#keys = this.#keys.filter((key) => key.kid !== kid);
  }

  /** A token that is fine but for what the test changes. */
  async token(
    claims: JWTPayload = {},
    options: { readonly kid?: string; readonly alg?: string; readonly header?: object; readonly key?: CryptoKey } = {},
  ): Promise<string> {
    const { kid = "one", alg = "ES256", header = {} } = options;
    const key = options.key ?? this.#private.get(kid);
    if (key === undefined) throw new Error(`no key ${kid}`);
    const now = Math.floor(Date.now() / 1000);
    const payload = { iss: this.url, aud: "agents", sub: "ada", iat: now, exp: now + 60, ...claims };
    return new SignJWT(JSON.parse(JSON.stringify(payload)) as JWTPayload)
      .setProtectedHeader({ ...header, alg, kid })
      .sign(key);
  }
}
