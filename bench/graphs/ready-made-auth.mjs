// Ways to authenticate that need no code, of the Heddle that is measured: BENCH_HEDDLE is its folder.
import { createHash } from "node:crypto";

const { apiKey, jwt } = await import(`${process.env.BENCH_HEDDLE}/dist/index.js`);

/** apiKey() with the one key that the client has: a storage in memory is empty at every start. */
export const key = {
  [Symbol.for("heddle.auth")]: true,
  async open(deps) {
    const digest = createHash("sha256").update(process.env.BENCH_KEY).digest("hex");
    const keyId = "01a203dd-96ab-7020-af01-cc04deb20755";
    const draft = { keyId, digest, label: "", identity: "bench", tenant: null, permissions: ["*"], expiresInMs: null };
    await deps.keys.create({ draft });
    return apiKey().open(deps);
  },
};

export const token = jwt({
  issuer: "https://login.example.com/",
  audience: "https://agents.example.com",
  jwks: { keys: [JSON.parse(process.env.BENCH_JWK)] },
});
