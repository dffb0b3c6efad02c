import { afterAll, describe, expect, it } from "vitest";
import type { Cipher } from "../../src/core/cipher.js";
import { asJsonText, type JsonText } from "../../src/core/json.js";
import type { RecordStore } from "../../src/core/record.js";
import { sealedMetadataStore } from "../../src/encryption/sealed-metadata-store.js";
import { rewriteStorage } from "../../src/maintenance/encrypt/rewrite-storage.js";
import { createStoreRegistry } from "../../src/stores/registry.js";
import { cipherOf, newKey } from "../support/cipher.js";
import { secret } from "../support/diary.js";
import { type Storage, STORAGES } from "../support/encrypted-storages.js";

const open: Storage[] = [];
afterAll(async () => {
  for (const storage of open) await storage.close();
});

async function withRecords<T>(
  { options: { storage = "", cwd = "." } }: Storage,
  cipher: Cipher | null,
  use: (records: RecordStore) => Promise<T>,
): Promise<T> {
  const { metadata, items } = await createStoreRegistry().open(storage, { cwd });
  const store = cipher === null ? metadata : sealedMetadataStore(metadata, cipher, { warn: () => {} });
  try {
    return await use(store.records);
  } finally {
    await items.close();
    await metadata.close();
  }
}

const PLACE = { space: "state", owner: "é \u0001 0001", collection: "c", key: "k/\u0001 '😀" };
const LABELS = { of: "in clear" };
/** Spelled as no serializer does. */
const text = (name: string): JsonText => asJsonText(`{ "b":1.0, "a":"${secret(name)}" }`);
const SECRETS = ["first", "second", "third", "expired"].map(secret);

async function fill(records: RecordStore): Promise<void> {
  const gone = { ...PLACE, key: "gone" };
  await records.write({ ...PLACE, value: text("first"), labels: LABELS, tracked: true });
  await records.write({ ...PLACE, value: text("second"), labels: LABELS, tracked: true });
  await records.write({ ...gone, value: text("third"), tracked: true });
  await records.remove({ ...gone, tracked: true });
  await records.write({ ...PLACE, key: "expired", value: text("expired"), ttlMs: 0 });
}

async function look(records: RecordStore): Promise<unknown> {
  const changes = await records.changes({ ...PLACE, after: 0, limit: 9 });
  const gone = await records.changes({ ...PLACE, key: "gone", after: 0, limit: 9 });
  return {
    value: (await records.get(PLACE))?.value,
    listed: (await records.list({ ...PLACE, labels: LABELS, order: "key", direction: "asc", limit: 9, offset: 0 })).map(
      ({ value }) => value,
    ),
    changes: [...changes, ...gone].map(({ version, previous, value }) => [version, previous, value]),
    expired: (await records.expired({ space: "state", limit: 9 })).map(({ value }) => value),
  };
}

const SEEN = {
  value: text("second"),
  listed: [text("second")],
  changes: [
    [1, null, text("first")],
    [2, text("first"), text("second")],
    [1, null, text("third")],
    [2, text("third"), null],
  ],
  expired: [text("expired")],
};

for (const [name, make] of Object.entries(STORAGES)) {
  if (name.includes("Redis")) continue;
  describe(`heddle encrypt and records: ${name}`, () => {
    it("encrypts, rotates, verifies and decrypts values and those before them, to the last character", async () => {
      const storage = await make();
      open.push(storage);
      const held = async (): Promise<readonly string[]> => {
        const dump = await storage.dump();
        return SECRETS.filter((each) => dump.includes(each));
      };
      const rewrite = async (cipher: Cipher, target: "active" | "clear", isDryRun = false) => {
        const { counts } = await rewriteStorage({
          uri: storage.options.storage ?? "",
          context: { cwd: storage.options.cwd ?? "." },
          parts: "all",
          cipher,
          target,
          isDryRun,
        });
        const ofRecords = counts.filter(({ name: table }) => table.startsWith("records"));
        const sum = (of: "wanted" | "rewritten" | "unreadable") =>
          ofRecords.reduce((total, count) => total + count[of], 0);
        return { wanted: sum("wanted"), rewritten: sum("rewritten"), unreadable: sum("unreadable") };
      };
      const [k1, k2] = [newKey("k1"), newKey("k2")];
      await withRecords(storage, null, fill);
      expect(await held()).toEqual(SECRETS);
      const first = await rewrite(cipherOf(k1), "active");
      expect(first.wanted).toBeGreaterThanOrEqual(6);
      expect(first).toMatchObject({ rewritten: first.wanted, unreadable: 0 });
      expect(await held()).toEqual([]);
      expect(await storage.dump()).toContain("in clear");
      expect(await withRecords(storage, cipherOf(k1), look)).toEqual(SEEN);
      expect(await rewrite(cipherOf(k2), "active", true)).toMatchObject({ wanted: 0, unreadable: first.wanted });
      expect(await rewrite(cipherOf([k2, k1]), "active")).toEqual(first);
      expect(await rewrite(cipherOf(k2), "active")).toEqual({ wanted: 0, rewritten: 0, unreadable: 0 });
      expect(await withRecords(storage, cipherOf(k2), look)).toEqual(SEEN);
      await expect(withRecords(storage, cipherOf(k1), look)).rejects.toMatchObject({ code: "DECRYPTION_FAILED" });
      expect(await rewrite(cipherOf(k2), "clear")).toEqual(first);
      expect(await withRecords(storage, null, look)).toEqual(SEEN);
      expect(await held()).toEqual(SECRETS);
    }, 60_000);

    it("seals what is written, and nothing opens in another record", async () => {
      const storage = await make();
      open.push(storage);
      const cipher = cipherOf(newKey("k1"));
      await withRecords(storage, cipher, fill);
      const dump = await storage.dump();
      expect(SECRETS.filter((each) => dump.includes(each))).toEqual([]);
      expect(await withRecords(storage, cipher, look)).toEqual(SEEN);
      const sealed = await withRecords(storage, null, (records) => records.get(PLACE));
      const other = { ...PLACE, owner: "eve" };
      await withRecords(storage, null, (records) => records.write({ ...other, value: sealed?.value ?? text("") }));
      await expect(withRecords(storage, cipher, (records) => records.get(other))).rejects.toMatchObject({
        code: "DECRYPTION_FAILED",
      });
    }, 60_000);
  });
}
