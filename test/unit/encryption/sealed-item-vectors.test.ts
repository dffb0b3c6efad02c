import { expect, it } from "vitest";
import { sealedItemStore } from "../../../src/encryption/sealed-item-store.js";
import { createMemoryItems } from "../../../src/stores/memory/index.js";
import { cipherOf } from "../../support/cipher.js";

const access = { kind: "all" } as const;
const every = { namespacePrefix: [], limit: 10, offset: 0, access } as const;
const place = { namespace: ["n"], key: "k", access } as const;
const vectors = [{ path: "text", values: Float32Array.of(0.5, 0.25) }];
const embedding = { fingerprint: "one", paths: null };
const nearest = Float32Array.of(1, 0);

it("gives the storage no vector, and no number of one", async () => {
  const raw = createMemoryItems({ now: () => 1 }, { dims: 2 });
  const sealed = sealedItemStore(raw, cipherOf(), { dims: 2 });
  await sealed.put({ ...place, value: { text: "secret" }, vectors, embedding });
  expect(await raw.search({ ...every, nearest })).toEqual([]);
  const [row] = raw.transfer.read(null, 10);
  expect(row?.value["vectors"]).toEqual([]);
  const bytes = Buffer.from(vectors[0]?.values.buffer ?? new ArrayBuffer(0));
  expect(JSON.stringify(row)).not.toContain(bytes.toString("base64").slice(0, 8));
  expect((await sealed.search({ ...every, nearest }))[0]?.score).toBeCloseTo(2 / Math.sqrt(5), 5);
});

it("takes vectors of before the encryption for stale, and those of after it when it is off again", async () => {
  const raw = createMemoryItems({ now: () => 1 }, { dims: 2 });
  const sealed = sealedItemStore(raw, cipherOf(), { dims: 2 });
  await raw.put({ ...place, value: { text: "clear" }, vectors, embedding });
  expect(await sealed.search({ ...every, nearest })).toEqual([]);
  const scan = { namespacePrefix: [], staleFor: "one", limit: 10, after: null, access } as const;
  expect((await sealed.scan(scan)).items).toMatchObject([{ item: { value: { text: "clear" } } }]);
  expect(await sealed.embed({ ...place, updatedAt: 1, vectors, embedding })).toBe(true);
  expect((await sealed.scan(scan)).items).toEqual([]);
  expect(await sealed.search({ ...every, nearest })).toMatchObject([{ value: { text: "clear" } }]);
  // What was clear is gone.
  expect(await raw.search({ ...every, nearest })).toEqual([]);
  expect((await raw.scan(scan)).items).toHaveLength(1);
});
