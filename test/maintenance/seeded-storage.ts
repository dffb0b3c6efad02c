import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { createApp } from "../../src/app.js";
import { asJsonText } from "../../src/core/json.js";
import { createStoreRegistry } from "../../src/stores/registry.js";
import { AWKWARD_JSON } from "../../src/testing/stores/json-cases.js";
import { ask, counter } from "../fixtures/graphs/index.js";

/** A folder for the files of a test file, removed after its last test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "heddle-maintenance-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const SILENT = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** Far enough away. */
const YEARLY = { assistant_id: "counter", schedule: "0 0 1 1 *", input: { n: 1 } };

/**
 * Fill a storage as a server does: per thread some runs with their checkpoints, an interrupted one and one that waits; items,
 * assistants with versions; two crons, one of them on a thread; two API keys, one of them revoked; three records, one of them removed.
 * @returns the number of rows
 */
export async function seedStorage(uri: string, threads: number): Promise<number> {
  const app = await createApp({ graphs: { counter, ask }, storage: uri, env: {}, logger: SILENT });
  const send = async (method: string, path: string, body: object): Promise<Record<string, unknown>> => {
    const response = await app.app.request(path, { method, body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    const text = await response.text();
    return text === "" ? {} : (JSON.parse(text) as Record<string, unknown>);
  };
  try {
    const assistant = await send("POST", "/assistants", {
      graph_id: "counter",
      name: "é \u0007",
      context: { a: [1e300] },
    });
    await send("PATCH", `/assistants/${String(assistant["assistant_id"])}`, { metadata: { owner: "x" } });
    for (let n = 0; n < threads; n += 1) {
      const ttl = n % 2 === 0 ? { ttl: { strategy: "keep_latest", ttl: 100_000 } } : {};
      const thread = await send("POST", "/threads", { metadata: { n, json: AWKWARD_JSON }, ...ttl });
      const runs = `/threads/${String(thread["thread_id"])}/runs`;
      await send("POST", `${runs}/wait`, { assistant_id: "counter", input: { n }, metadata: { json: AWKWARD_JSON } });
      if (n % 3 === 0) await send("POST", `${runs}/wait`, { assistant_id: "ask", input: { question: "é" } });
      if (n % 4 === 0) await send("POST", runs, { assistant_id: assistant["assistant_id"], after_seconds: 3_600 });
      await send("PUT", "/store/items", {
        namespace: ["a", `n${n % 7}`],
        key: `k"${n}`,
        value: { n, json: AWKWARD_JSON },
        ...(n % 2 === 0 && { ttl: 100_000 }),
      });
      if (n === 0) await send("POST", `${runs}/crons`, { ...YEARLY, multitask_strategy: "rollback" });
    }
    await send("POST", "/runs/crons", { ...YEARLY, timezone: "Europe/Oslo", metadata: { json: AWKWARD_JSON } });
  } finally {
    await app.close();
  }
  await seedKeysAndRecords(uri);
  return threads;
}

async function seedKeysAndRecords(uri: string): Promise<void> {
  const { metadata, items } = await createStoreRegistry().open(uri, { cwd: "/" });
  try {
    for (const [n, tenant] of [null, "acme"].entries()) {
      const draft = { keyId: `key-${n}`, digest: String(n).repeat(64), label: "é", identity: "ada", tenant };
      await metadata.keys.create({ draft: { ...draft, permissions: ["threads:*"], expiresInMs: null } });
    }
    await metadata.keys.revoke({ keyId: "key-1" });
    const place = { space: "state", owner: "é \u0001", collection: "c" };
    const value = asJsonText('{ "b":1.0, "a":"\\u0000" }');
    await metadata.records.write({ ...place, key: "live", value, labels: { "a.b": "$x" }, tracked: true });
    await metadata.records.write({ ...place, key: "gone", value });
    await metadata.records.remove({ ...place, key: "gone" });
    const answer = { space: "idempotency", owner: "", collection: "runs", key: "k", value };
    await metadata.records.write({ ...answer, ttlMs: 86_400_000, disposable: true });
  } finally {
    await items.close();
    await metadata.close();
  }
}
