import { afterAll, describe, expect, it } from "vitest";
import type { Cipher } from "../../src/core/cipher.js";
import { type RewriteOptions, rewriteStorage } from "../../src/maintenance/encrypt/rewrite-storage.js";
import { cipherOf, newKey } from "../support/cipher.js";
import { call, secret, SECRETS, secretsIn, use } from "../support/diary.js";
import { openDiary, type Storage, STORAGES } from "../support/encrypted-storages.js";

const open: Storage[] = [];
afterAll(async () => {
  for (const storage of open) await storage.close();
});

const rewrite = (storage: Storage, cipher: Cipher, options: Partial<RewriteOptions> = {}) =>
  rewriteStorage({
    uri: storage.options.storage ?? "",
    context: { cwd: storage.options.cwd ?? "." },
    parts: "all",
    cipher,
    target: "active",
    isDryRun: false,
    ...options,
  });

const sum = (
  counts: Awaited<ReturnType<typeof rewrite>>["counts"],
  of: "wanted" | "rewritten" | "unreadable",
): number => counts.reduce((total, count) => total + count[of], 0);

/** What a client reads of a thread, but for times. */
async function readBack(storage: Storage, threadId: string, keys?: readonly string[]): Promise<unknown> {
  const server = await openDiary(storage, keys === undefined ? {} : { encryption: { keys } });
  try {
    const read = [
      await call(server, "GET", `/threads/${threadId}`),
      await call(server, "POST", `/threads/${threadId}/history`, { limit: 100 }),
      await call(server, "GET", `/threads/${threadId}/runs`),
      await call(server, "POST", "/store/items/search", { namespace_prefix: ["people"] }),
    ];
    return read.map((text) => JSON.parse(text) as unknown);
  } finally {
    await server.close();
  }
}

/** Events in MongoDB are packed and left to expire. */
const withoutEvents = (name: string, dump: string): string =>
  name === "MongoDB"
    ? dump
        .split("\n")
        .filter((line) => !line.startsWith("heddle_event"))
        .join("\n")
    : dump;

for (const [name, make] of Object.entries(STORAGES)) {
  if (name.includes("Redis")) continue;
  describe(`heddle encrypt: ${name}`, () => {
    it(
      "encrypts a clear storage, rotates, goes on after it was killed, and goes back",
      { timeout: 180_000 },
      async () => {
        const storage = await make();
        open.push(storage);
        const clearServer = await openDiary(storage, {});
        const { threadId } = await use(clearServer);
        await clearServer.close();
        const before = await readBack(storage, threadId);
        expect(secretsIn(await storage.dump())).toEqual(SECRETS);

        const [k1, k2] = [newKey("k1"), newKey("k2")];
        const dry = await rewrite(storage, cipherOf(k1), { isDryRun: true });
        expect(sum(dry.counts, "wanted")).toBeGreaterThan(30);
        expect(sum(dry.counts, "rewritten")).toBe(0);
        expect(secretsIn(await storage.dump())).toEqual(SECRETS);

        // Killed in the middle: some tables are done.
        const killed = new Error("killed");
        let pages = 0;
        const onProgress = (): void => {
          pages += 1;
          if (pages === 6) throw killed;
        };
        await expect(rewrite(storage, cipherOf(k1), { onProgress })).rejects.toBe(killed);
        expect(await readBack(storage, threadId, [k1])).toEqual(before);
        const rest = await rewrite(storage, cipherOf(k1));
        expect(sum(rest.counts, "wanted")).toBeLessThan(sum(dry.counts, "wanted"));
        expect(sum(rest.counts, "rewritten")).toBe(sum(rest.counts, "wanted"));
        expect(secretsIn(withoutEvents(name, await storage.dump()))).toEqual([]);
        expect(await readBack(storage, threadId, [k1])).toEqual(before);

        const rotated = await rewrite(storage, cipherOf([k2, k1]));
        expect(sum(rotated.counts, "rewritten")).toBeGreaterThan(30);
        expect(sum((await rewrite(storage, cipherOf(k2))).counts, "wanted")).toBe(0);
        expect(await readBack(storage, threadId, [k2])).toEqual(before);

        const lost = await rewrite(storage, cipherOf(newKey("k3")));
        expect(sum(lost.counts, "unreadable")).toBeGreaterThan(30);
        expect(lost.counts.find(({ firstError }) => firstError !== null)?.firstError).toContain('"k2"');
        expect(await readBack(storage, threadId, [k2])).toEqual(before);

        await rewrite(storage, cipherOf(k2), { target: "clear" });
        expect(await readBack(storage, threadId)).toEqual(before);
        expect(secretsIn(withoutEvents(name, await storage.dump()))).toContain(secret("input"));
      },
    );
  });
}
