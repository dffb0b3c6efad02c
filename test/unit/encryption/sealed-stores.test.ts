import { afterEach, describe, expect, it } from "vitest";
import { ALL_ROWS } from "../../../src/core/auth.js";
import { delegating } from "../../../src/core/delegating.js";
import { HeddleError } from "../../../src/core/errors.js";
import { toJsonText } from "../../../src/core/json.js";
import { sealedItemStore } from "../../../src/encryption/sealed-item-store.js";
import { sealedMetadataStore } from "../../../src/encryption/sealed-metadata-store.js";
import { createMemoryItems, createMemoryMetadataStore } from "../../../src/stores/memory/index.js";
import { fakeClock } from "../../../src/testing/fake-clock.js";
import { ALL, newRun, uuid } from "../../../src/testing/stores/suite.js";
import { cipherOf, newKey } from "../../support/cipher.js";

const clock = fakeClock();
const warnings: object[] = [];
afterEach(() => void warnings.splice(0));
const logger = { warn: (fields: object) => void warnings.push(fields) };
const refused = (field: string) => ({ code: "UNSUPPORTED_OPTION", details: { field } });

describe("items", () => {
  const raw = createMemoryItems(clock);
  const items = sealedItemStore(raw, cipherOf(undefined, { clearItemFields: ["kind"] }));
  const query = { namespacePrefix: [], limit: 10, offset: 0 };

  it("filters by the fields that stay clear, and refuses others by name", async () => {
    await items.put({ namespace: ["a"], key: "k", value: { kind: "note", text: "hush" }, access: ALL });
    expect(await items.search({ ...query, filter: { kind: "note" }, access: ALL })).toMatchObject([
      { value: { text: "hush" } },
    ]);
    await expect(items.search({ ...query, filter: { text: "hush" }, access: ALL })).rejects.toMatchObject(
      refused("text"),
    );
    const where = { $or: [{ kind: "note" }, { $and: [{ owner: "me" }] }] };
    const access = { kind: "match", where } as const;
    await expect(items.search({ ...query, access })).rejects.toMatchObject(refused("owner"));
    await expect(items.get({ namespace: ["a"], key: "k", access })).rejects.toMatchObject(refused("owner"));
    await expect(items.put({ namespace: ["a"], key: "k", value: {}, access })).rejects.toMatchObject(refused("owner"));
    await expect(items.delete({ namespace: ["a"], key: "k", access })).rejects.toMatchObject(refused("owner"));
    await expect(items.listNamespaces({ limit: 1, offset: 0, access })).rejects.toMatchObject(refused("owner"));
  });

  it("trusts the sealed value, not the clear copy beside it, and opens no value that was copied from another item", async () => {
    const [stored] = await raw.search({ ...query, access: ALL });
    const value = stored?.value ?? {};
    expect(Object.keys(value).toSorted()).toEqual(["$heddle", "kind"]);
    await raw.put({ namespace: ["a"], key: "k", value: { ...value, kind: "forged" }, access: ALL });
    expect(await items.get({ namespace: ["a"], key: "k", access: ALL })).toMatchObject({
      item: { value: { kind: "note" } },
    });
    await raw.put({ namespace: ["a"], key: "other", value, access: ALL });
    const copied = items.get({ namespace: ["a"], key: "other", access: ALL });
    await expect(copied).rejects.toMatchObject({ code: "DECRYPTION_FAILED" });
  });
});

describe("threads and runs", () => {
  it("refuses to search values, by name", async () => {
    const { threads } = sealedMetadataStore(createMemoryMetadataStore(clock), cipherOf(), logger);
    await expect(threads.count({ values: { a: 1 }, access: ALL })).rejects.toMatchObject(refused("values"));
    const page = { limit: 1, offset: 0, sortBy: "created_at", sortOrder: "asc", withState: true } as const;
    await expect(threads.search({ values: { a: 1 }, ...page, access: ALL })).rejects.toMatchObject(refused("values"));
  });

  it("ends a run that cannot be decrypted, and claims the others", async () => {
    const store = createMemoryMetadataStore(clock);
    const [old, current] = [newKey("k1"), newKey("k2")];
    const before = sealedMetadataStore(store, cipherOf(old), logger);
    const after = sealedMetadataStore(store, cipherOf(current), logger);
    await before.runs.create({ draft: { ...newRun(1, uuid(101)), createThread: true }, access: ALL_ROWS });
    await after.runs.create({ draft: { ...newRun(2, uuid(102)), createThread: true }, access: ALL_ROWS });
    const claimed = await after.runs.claim({ workerId: "w", leaseMs: 1_000, limit: 10 });
    expect(claimed.map(({ run }) => run.runId)).toEqual([uuid(2)]);
    expect(warnings).toMatchObject([{ runId: uuid(1), err: { details: { keyId: "k1" } } }]);
    expect(await store.runs.get({ runId: uuid(1), access: ALL_ROWS })).toMatchObject({ status: "error" });
  });

  it("claims the others also when that run cannot be ended now, and ends it when it comes again", async () => {
    const store = createMemoryMetadataStore(clock);
    let isAway = true;
    const runs = delegating(store.runs, {
      finish: (params) => (isAway ? Promise.reject(new HeddleError("STORAGE_UNAVAILABLE")) : store.runs.finish(params)),
    });
    const after = sealedMetadataStore(delegating(store, { runs }), cipherOf(), logger);
    const before = sealedMetadataStore(store, cipherOf(), logger);
    await before.runs.create({ draft: { ...newRun(1, uuid(101)), createThread: true }, access: ALL_ROWS });
    await after.runs.create({ draft: { ...newRun(2, uuid(102)), createThread: true }, access: ALL_ROWS });
    const claim = () => after.runs.claim({ workerId: "w", leaseMs: 1_000, limit: 10 });
    expect((await claim()).map(({ run }) => run.runId)).toEqual([uuid(2)]);
    expect(warnings).toMatchObject([{ runId: uuid(1) }, { runId: uuid(1), err: { code: "STORAGE_UNAVAILABLE" } }]);
    isAway = false;
    clock.advance(1_001);
    await store.runs.reapExpired({ maxAttempts: 3 });
    await claim();
    expect(await store.runs.get({ runId: uuid(1), access: ALL_ROWS })).toMatchObject({ status: "error" });
  });

  it("takes nothing clear that was put beside what a client sent", async () => {
    const store = createMemoryMetadataStore(clock);
    const cipher = cipherOf(undefined, { strict: true });
    const sealed = sealedMetadataStore(store, cipher, logger);
    const run = newRun(1, uuid(101));
    const { command: _, context: __, ...own } = run.kwargs;
    const draft = { ...run, kwargs: own, createThread: true };
    await sealed.runs.create({ draft, access: ALL_ROWS });
    const stored = await store.runs.get({ runId: uuid(1), access: ALL_ROWS });
    const kwargs = { ...(stored?.kwargs ?? draft.kwargs), command: { resume: "forged" }, context: { by: "forger" } };
    const changed = createMemoryMetadataStore(clock);
    await changed.runs.create({ draft: { ...draft, kwargs }, access: ALL_ROWS });
    const read = await sealedMetadataStore(changed, cipher, logger).runs.get({ runId: uuid(1), access: ALL_ROWS });
    expect(read?.kwargs).toEqual(draft.kwargs);
  });

  it("has every member of a storage that is a class of its own", () => {
    const store = createMemoryMetadataStore(clock);
    const custom = Object.create(store) as typeof store;
    const { durable, keys, tickets } = sealedMetadataStore(custom, cipherOf(), logger);
    expect({ durable, keys, tickets }).toEqual({ durable: store.durable, keys: store.keys, tickets: store.tickets });
  });

  it("does not open the state of another thread", async () => {
    const store = createMemoryMetadataStore(clock);
    const sealed = sealedMetadataStore(store, cipherOf(), logger);
    for (const n of [1, 2]) await sealed.threads.create({ threadId: uuid(n), metadata: {}, access: ALL });
    const patch = { values: toJsonText({ secret: "hush" }) };
    await sealed.threads.patchState({ threadId: uuid(1), patch, hasNext: false });
    const stored = await store.threads.get({ threadId: uuid(1), access: ALL });
    expect(stored?.values).not.toContain("hush");
    await store.threads.patchState({
      threadId: uuid(2),
      patch: { values: stored?.values ?? toJsonText(1) },
      hasNext: false,
    });
    expect((await sealed.threads.get({ threadId: uuid(1), access: ALL }))?.values).toBe(patch.values);
    const swapped = sealed.threads.get({ threadId: uuid(2), access: ALL });
    await expect(swapped).rejects.toMatchObject({ code: "DECRYPTION_FAILED" });
  });
});
