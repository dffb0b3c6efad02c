import type { ApiKey, ApiKeyStore, NewApiKey } from "../../core/api-key.js";
import type { MetadataStore } from "../../core/metadata-store.js";
import { type StoreSuite, uuid, withStoreOf } from "./suite.js";

/** 64 hex digits that sort by `n`. */
const digest = (n: number): string => n.toString(16).padStart(64, "0");

function newKey(n: number, draft: Partial<NewApiKey> = {}): NewApiKey {
  return {
    keyId: uuid(n),
    digest: digest(n),
    label: `key ${n}`,
    identity: `user-${n}`,
    tenant: null,
    permissions: [],
    expiresInMs: null,
    ...draft,
  };
}

async function listAll(keys: ApiKeyStore, limit: number): Promise<readonly ApiKey[]> {
  const all: ApiKey[] = [];
  for (let after: string | null = null; ; after = all.at(-1)?.keyId ?? null) {
    const page = await keys.list({ after, limit });
    if (page.length === 0) return all;
    if (page.length > limit) throw new Error(`asked for ${limit} keys, got ${page.length}`);
    all.push(...page);
  }
}

/** The contract of `MetadataStore.keys`. */
export function testApiKeyStore(suite: StoreSuite<MetadataStore>): void {
  const { describe, it, expect } = suite.vitest;
  const withStore = withStoreOf(suite);
  describe(`ApiKeyStore: ${suite.name}`, () => {
    it(
      "keeps a key as it was given, with the store's time",
      withStore(async ({ store: { keys }, clock }) => {
        const draft = newKey(1, {
          label: `é " \\ ' ; DROP TABLE api_keys; -- \u0001 😀`,
          identity: "$ne",
          tenant: "",
          permissions: ["threads:read", "store:*", 'a"b', "a\u0000b", "__proto__"],
        });
        const { expiresInMs: _, ...fields } = draft;
        const created = await keys.create({ draft });
        const expected = { ...fields, createdAt: clock.now(), expiresAt: null, revokedAt: null };
        expect(created).toEqual(expected);
        expect(await keys.findByDigest({ digest: draft.digest })).toEqual({ key: expected, now: clock.now() });
        expect(await keys.list({ after: null, limit: 9 })).toEqual([expected]);
      }),
    );

    it(
      "says when a key expires and what time it is, and finds it also afterwards",
      withStore(async ({ store: { keys }, clock }) => {
        const { expiresAt } = await keys.create({ draft: newKey(1, { expiresInMs: 60_000 }) });
        expect(expiresAt).toBe(clock.now() + 60_000);
        clock.advance(60_001);
        const found = await keys.findByDigest({ digest: digest(1) });
        expect(found?.key.expiresAt).toBe(expiresAt);
        expect(found?.now).toBe(clock.now());
      }),
    );

    it(
      "creates a key once, also when asked again because an answer was lost",
      withStore(async ({ store: { keys }, clock }) => {
        const first = await keys.create({ draft: newKey(1) });
        clock.advance(1_000);
        const again = await Promise.all([1, 2, 3].map(() => keys.create({ draft: newKey(1, { label: "other" }) })));
        expect(again).toEqual([first, first, first]);
        expect(await listAll(keys, 9)).toEqual([first]);
      }),
    );

    it(
      "revokes a key for good: the first time stays, and what is not there is null",
      withStore(async ({ store: { keys }, clock }) => {
        await keys.create({ draft: newKey(1) });
        await keys.create({ draft: newKey(2) });
        const revokedAt = clock.now();
        expect((await keys.revoke({ keyId: uuid(1) }))?.revokedAt).toBe(revokedAt);
        clock.advance(1_000);
        expect((await keys.revoke({ keyId: uuid(1) }))?.revokedAt).toBe(revokedAt);
        expect((await keys.findByDigest({ digest: digest(1) }))?.key.revokedAt).toBe(revokedAt);
        expect((await keys.create({ draft: newKey(1) })).revokedAt).toBe(revokedAt);
        expect((await keys.findByDigest({ digest: digest(2) }))?.key.revokedAt).toBeNull();
        expect(await keys.revoke({ keyId: uuid(3) })).toBeNull();
      }),
    );

    it(
      "finds nothing but the very digest",
      withStore(async ({ store: { keys } }) => {
        await keys.create({ draft: newKey(0xab) });
        for (const other of [
          digest(0xac),
          digest(0xab).toUpperCase(),
          "",
          "%",
          `${digest(0xab)}\u0000`,
          '{"$ne":""}',
        ]) {
          expect(await keys.findByDigest({ digest: other }), other).toBeNull();
        }
      }),
    );

    it(
      "lists every key once by id, whatever the limit",
      withStore(async ({ store: { keys } }) => {
        for (const n of [5, 1, 4, 2, 3]) await keys.create({ draft: newKey(n) });
        for (const limit of [1, 2, 5, 6]) {
          expect((await listAll(keys, limit)).map(({ keyId }) => keyId)).toEqual([1, 2, 3, 4, 5].map(uuid));
        }
      }),
    );

    it(
      "hands out copies",
      withStore(async ({ store: { keys } }) => {
        const permissions = ["threads:read"];
        await keys.create({ draft: newKey(1, { permissions }) });
        permissions.push("*");
        const found = await keys.findByDigest({ digest: digest(1) });
        if (found === null) throw new Error("the key is not there");
        expect(found.key.permissions).toEqual(["threads:read"]);
        try {
          (found.key.permissions as string[]).push("*");
        } catch {
          // Frozen is as good as copied.
        }
        expect((await keys.findByDigest({ digest: digest(1) }))?.key.permissions).toEqual(["threads:read"]);
      }),
    );
  });
}
