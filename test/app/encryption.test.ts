import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { newKey } from "../support/cipher.js";
import { call, secret, SECRETS, secretsIn, use } from "../support/diary.js";
import { rawRedis } from "../support/raw-storage.js";
import { openDiary as open, type Storage, STORAGES } from "../support/encrypted-storages.js";

for (const [name, make] of Object.entries(STORAGES)) {
  describe(`encryption: ${name}`, () => {
    let storage: Storage;
    const keys = newKey("k1");
    beforeAll(async () => {
      storage = await make();
    });
    afterAll(() => storage.close());

    it("has no secret in the database, while a client reads them all", { timeout: 180_000 }, async () => {
      const server = await open(storage, { encryption: { keys } });
      try {
        const { read } = await use(server);
        expect(secretsIn(read)).toEqual(SECRETS);
        expect(secretsIn(await storage.dump())).toEqual([]);
      } finally {
        await server.close();
      }
      expect(secretsIn(await storage.dump())).toEqual([]);
    });

    it("is opened by the keys that it needs, and refused at the start without them", { timeout: 180_000 }, async () => {
      const rotated = await open(storage, { encryption: { keys: [newKey("k2"), keys] } });
      try {
        expect(await call(rotated, "POST", "/threads/search", {})).toContain(secret("answer"));
      } finally {
        await rotated.close();
      }
      await expect(open(storage, {})).rejects.toMatchObject({ code: "DECRYPTION_FAILED" });
      await expect(open(storage, { encryption: { keys: newKey("k3") } })).rejects.toMatchObject({
        code: "DECRYPTION_FAILED",
        details: { keyId: "k1" },
      });
      const namesake = open(storage, { encryption: { keys: newKey("k1") } });
      await expect(namesake).rejects.toMatchObject({ code: "DECRYPTION_FAILED", details: { keyId: "k1" } });
    });
  });
}

it("finds the secrets where nothing is encrypted: the search can find something", async () => {
  const storage = await (STORAGES["SQLite"] as () => Promise<Storage>)();
  const server = await open(storage, {});
  try {
    await use(server);
    expect(secretsIn(await storage.dump())).toEqual(SECRETS);
  } finally {
    await server.close();
    await storage.close();
  }
});

it.skipIf(STORAGES["SQLite and Redis"] === undefined)("finds those in Redis, too, by themselves", async () => {
  const storage = await (STORAGES["SQLite and Redis"] as () => Promise<Storage>)();
  const server = await open(storage, {});
  try {
    await use(server);
    expect(secretsIn(await rawRedis(storage.options.redis ?? ""))).toEqual(
      expect.arrayContaining(["state", "event", "interrupt", "answer"].map(secret)),
    );
  } finally {
    await server.close();
    await storage.close();
  }
});

it("reads what was stored before the encryption, unless it is strict", async () => {
  const storage = await (STORAGES["SQLite"] as () => Promise<Storage>)();
  const clear = await open(storage, {});
  const { threadId } = await use(clear);
  await clear.close();
  const keys = newKey("k1");
  const mixed = await open(storage, { encryption: { keys } });
  expect(await call(mixed, "GET", `/threads/${threadId}/state`)).toContain(secret("answer"));
  await mixed.close();
  const strict = open(storage, { encryption: { keys, strict: true } });
  await expect(strict).rejects.toMatchObject({ code: "DECRYPTION_FAILED", message: /strict/ });
  await storage.close();
});
