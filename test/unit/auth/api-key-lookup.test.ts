import { describe, expect, it } from "vitest";
import { createApiKeyAdmin } from "../../../src/auth/api-key-admin.js";
import { createApiKeyLookup } from "../../../src/auth/api-key-lookup.js";
import { newApiKeySecret } from "../../../src/auth/api-key-secret.js";
import type { ApiKeyStore } from "../../../src/core/api-key.js";
import { createMemoryApiKeys } from "../../../src/stores/memory/api-keys.js";
import { fakeClock } from "../../../src/testing/fake-clock.js";

/** The memory store, and how often it was asked. */
function counted(keys: ApiKeyStore) {
  let asked = 0;
  const findByDigest: ApiKeyStore["findByDigest"] = (params) => {
    asked += 1;
    return keys.findByDigest(params);
  };
  return { keys: { ...keys, findByDigest }, asked: () => asked };
}

async function openLookup(cacheMs: number, expiresInMs: number | null = null) {
  const clock = fakeClock();
  const store = createMemoryApiKeys(clock);
  const admin = createApiKeyAdmin(store);
  const { key, secret } = await admin.create({ identity: "ada", permissions: [], expiresInMs });
  const { keys, asked } = counted(store);
  return { clock, admin, key, secret, asked, find: createApiKeyLookup(keys, clock, cacheMs).find };
}

describe("looking for an API key", () => {
  it("asks once per cacheMs: no longer does a revoked key go on", async () => {
    const { clock, admin, key, secret, asked, find } = await openLookup(1_000);
    expect((await find(secret))?.key.keyId).toBe(key.keyId);
    await admin.revoke(key.keyId);
    clock.advance(999);
    expect(await find(secret)).not.toBeNull();
    expect(asked()).toBe(1);
    clock.advance(1);
    expect(await find(secret)).toBeNull();
    expect(asked()).toBe(2);
  });

  it("asks each time with cacheMs 0", async () => {
    const { admin, key, secret, asked, find } = await openLookup(0);
    await find(secret);
    await admin.revoke(key.keyId);
    expect(await find(secret)).toBeNull();
    expect(asked()).toBe(2);
  });

  it("does not remember a key beyond its own end", async () => {
    const { clock, secret, find } = await openLookup(60_000, 5_000);
    expect(await find(secret)).not.toBeNull();
    clock.advance(4_999);
    expect(await find(secret)).not.toBeNull();
    clock.advance(1);
    expect(await find(secret)).toBeNull();
  });

  it("goes by the storage's clock, however wrong that of the process is", async () => {
    const storage = fakeClock();
    const store = createMemoryApiKeys(storage);
    const { secret } = await createApiKeyAdmin(store).create({ identity: "a", permissions: [], expiresInMs: 10_000 });
    const process = fakeClock();
    process.advance(86_400_000);
    expect(await createApiKeyLookup(store, process, 1_000).find(secret)).not.toBeNull();
    storage.advance(10_000);
    expect(await createApiKeyLookup(store, fakeClock(), 1_000).find(secret)).toBeNull();
  });

  it("asks no storage about what can't be a key, and each time about what is none", async () => {
    const { asked, find } = await openLookup(60_000);
    for (const text of ["", "hdl_", "x".repeat(47), `hdl_${"a".repeat(44)}`, "hdl_\u0000"])
      expect(await find(text)).toBeNull();
    expect(asked()).toBe(0);
    const unknown = newApiKeySecret();
    expect(await find(unknown)).toBeNull();
    expect(await find(unknown)).toBeNull();
    expect(asked()).toBe(2);
  });

  it("does not believe a storage that finds the key of another secret", async () => {
    const { clock, key } = await openLookup(0);
    const found = { key: { ...key, digest: "0".repeat(64) }, now: clock.now() };
    const lying = { ...createMemoryApiKeys(clock), findByDigest: async () => found };
    expect(await createApiKeyLookup(lying, clock, 0).find(newApiKeySecret())).toBeNull();
  });
});
