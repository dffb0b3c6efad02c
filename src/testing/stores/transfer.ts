import { toJsonText } from "../../core/json.js";
import type { MetadataStore } from "../../core/metadata-store.js";
import { TRANSFER_KINDS, type RowTransfer, type TransferKind, type TransferRow } from "../../core/row-transfer.js";
import { fakeClock } from "../fake-clock.js";
import { ALL, LEASE_MS, newAssistant, Rows, type StoreSuite, uuid, type WithStore, withStoreOf } from "./suite.js";
import { JSON_CASES, PLAIN_KWARGS, RECORD_TEXTS, ROWS } from "./transferred-rows.js";

/** The contract of `MetadataStore.transfer`: whole rows in and out. A store without one must have nothing to keep. */
export function testTransfer(suite: StoreSuite<MetadataStore>): void {
  const withStore = withStoreOf(suite);
  suite.vitest.describe(`RowTransfer: ${suite.name}`, () => {
    readCases(suite, withStore);
    writeCases(suite, withStore);
    orderCases(suite, withStore);
  });
}

/** Hands over the store's transfer; a store that forgets everything may have none. */
function withTransfer(
  { vitest: { expect } }: StoreSuite<MetadataStore>,
  withStore: WithStore<MetadataStore>,
  test: (fixture: { transfer: RowTransfer; store: MetadataStore; rows: Rows; now: () => number }) => Promise<void>,
): () => Promise<void> {
  return withStore(async ({ store, clock }) => {
    const { transfer } = store;
    if (transfer === null) expect(store.durable).toBe(false);
    else await test({ transfer, store, rows: new Rows(store), now: () => clock.now() });
  });
}

async function readAll(transfer: RowTransfer, kind: TransferKind, limit = 100): Promise<readonly TransferRow[]> {
  const rows: TransferRow[] = [];
  for (let after: string | null = null; ; after = rows.at(-1)?.key ?? null) {
    const page = await transfer.read({ kind, after, limit });
    if (page.length === 0) return rows;
    if (page.length > limit) throw new Error(`asked for ${limit} rows, got ${page.length}`);
    rows.push(...page);
  }
}

const sorted = (rows: readonly TransferRow[]): readonly TransferRow[] =>
  [...rows].sort((a, b) => (a.key < b.key ? -1 : 1));

async function writeAll(transfer: RowTransfer): Promise<void> {
  for (const kind of TRANSFER_KINDS) await transfer.write({ kind, rows: ROWS[kind] });
}

function readCases(suite: StoreSuite<MetadataStore>, withStore: WithStore<MetadataStore>): void {
  const { it, expect } = suite.vitest;

  it(
    "reads assistants with their versions, threads and runs as they are",
    withTransfer(suite, withStore, async ({ transfer, store, rows, now }) => {
      const draft = newAssistant(1, { context: [1], metadata: JSON_CASES, description: "d" });
      await store.assistants.create({ draft, access: ALL });
      await store.assistants.update({ assistantId: uuid(1), patch: { name: "second" }, access: ALL });
      const first = { ...draft, version: 1, createdAt: now() };
      const second = { ...first, name: "second", version: 2 };
      expect(await readAll(transfer, "assistants")).toEqual([{ key: uuid(1), value: { ...second, updatedAt: now() } }]);
      expect(await readAll(transfer, "assistantVersions")).toEqual([
        { key: `${uuid(1)}:0000000001`, value: first },
        { key: `${uuid(1)}:0000000002`, value: second },
      ]);

      const threadId = await rows.thread({ owner: "a" });
      const error = toJsonText({ error: "TypeError", message: "Boo!" });
      const { run, lease } = await rows.leased(threadId);
      await store.runs.finish({
        lease,
        outcome: { kind: "ended", status: "error", error },
        threadPatch: { values: toJsonText({ a: JSON_CASES }), interrupts: toJsonText({}), error },
        hasNext: true,
      });
      expect(await readAll(transfer, "threads")).toEqual([
        {
          key: threadId,
          value: {
            threadId,
            createdAt: now(),
            updatedAt: now(),
            stateUpdatedAt: now(),
            metadata: { owner: "a", graph_id: "agent", assistant_id: run.assistantId },
            config: {},
            settledStatus: "error",
            values: { a: JSON_CASES },
            interrupts: {},
            error: { error: "TypeError", message: "Boo!" },
            temporary: false,
            watched: false,
            ttl: null,
          },
        },
      ]);
      const ended = { ...run, status: "error", error: { error: "TypeError", message: "Boo!" } };
      expect(await readAll(transfer, "runs")).toEqual([
        { key: run.runId, value: { ...ended, leaseToken: lease.leaseToken, cancelRequested: null } },
      ]);
      expect(await readAll(transfer, "items")).toEqual([]);
    }),
  );

  it(
    "reads a running run as one that waits, with its attempts and its cancel, and leaves it running",
    withTransfer(suite, withStore, async ({ transfer, store, rows }) => {
      const threadId = await rows.thread();
      const { run, lease } = await rows.leased(threadId);
      await store.runs.requestCancel({ runId: run.runId, action: "rollback", access: ALL });
      const [row] = await readAll(transfer, "runs");
      expect(row?.value).toEqual({
        ...run,
        status: "pending",
        attempt: 1,
        leaseToken: lease.leaseToken,
        cancelRequested: "rollback",
      });
      expect((await readAll(transfer, "threads"))[0]?.value).toMatchObject({ settledStatus: "idle" });
      expect(await store.runs.holds(lease)).toBe(true);
    }),
  );

  it(
    "pages through every row once, whatever the limit, also when the last key has gone",
    withTransfer(suite, withStore, async ({ transfer, store, rows }) => {
      const threadIds: string[] = [];
      for (let n = 0; n < 7; n += 1) threadIds.push(await rows.thread());
      for (const limit of [1, 2, 3, 7, 8]) {
        const keys = (await readAll(transfer, "threads", limit)).map((row) => row.key);
        expect(keys).toEqual(threadIds);
      }
      const [first] = await transfer.read({ kind: "threads", after: null, limit: 1 });
      await store.threads.delete({ threadId: first?.key ?? "", access: ALL });
      const [second] = await transfer.read({ kind: "threads", after: first?.key ?? "", limit: 1 });
      expect(second?.key).toBe(threadIds[1]);
    }),
  );
}

function writeCases(suite: StoreSuite<MetadataStore>, withStore: WithStore<MetadataStore>): void {
  const { it, expect } = suite.vitest;

  it(
    "reads back what was written, to the last character",
    withTransfer(suite, withStore, async ({ transfer }) => {
      await writeAll(transfer);
      for (const kind of TRANSFER_KINDS) {
        for (const limit of [1, 2, 100]) {
          expect(sorted(await readAll(transfer, kind, limit)), kind).toEqual(sorted(ROWS[kind]));
        }
      }
    }),
  );

  it(
    "writes twice as once, and replaces what has the same key",
    withTransfer(suite, withStore, async ({ transfer, store }) => {
      await writeAll(transfer);
      await writeAll(transfer);
      const changed = ROWS.threads.map(({ key, value }) => ({
        key,
        value: { ...value, metadata: { owner: "new" }, updatedAt: 1_900_000_000_000 },
      }));
      await transfer.write({ kind: "threads", rows: changed });
      const ended = ROWS.runs.map(({ key, value }) => ({
        key,
        value: { ...value, status: "timeout", cancelRequested: null, kwargs: PLAIN_KWARGS },
      }));
      await transfer.write({ kind: "runs", rows: ended });
      const items = ROWS.items.map(({ key, value }) => ({ key, value: { ...value, value: { replaced: true } } }));
      await transfer.write({ kind: "items", rows: items });
      expect(sorted(await readAll(transfer, "threads"))).toEqual(sorted(changed));
      expect(sorted(await readAll(transfer, "runs"))).toEqual(sorted(ended));
      expect(sorted(await readAll(transfer, "items"))).toEqual(sorted(items));
      const keys = ROWS.apiKeys.map(({ key, value }) => ({ key, value: { ...value, revokedAt: 1_900_000_000_000 } }));
      await transfer.write({ kind: "apiKeys", rows: keys });
      expect(sorted(await readAll(transfer, "apiKeys"))).toEqual(sorted(keys));
      expect((await store.keys.findByDigest({ digest: "2".repeat(64) }))?.key).toEqual(keys[1]?.value);
      const values = ROWS.records.map(({ key, value }) => ({ key, value: { ...value, value: "[1]", version: 9 } }));
      await transfer.write({ kind: "records", rows: values });
      expect(sorted(await readAll(transfer, "records"))).toEqual(sorted(values));
      for (const kind of ["assistants", "assistantVersions"] as const) {
        expect(sorted(await readAll(transfer, kind))).toEqual(sorted(ROWS[kind]));
      }
      expect(await store.threads.count({ metadata: { owner: "new" }, access: ALL })).toBe(changed.length);
      expect(await store.threads.count({ metadata: { "": "empty key" }, access: ALL })).toBe(0);
      expect(await store.threads.count({ status: "busy", access: ALL })).toBe(0);
    }),
  );

  it(
    "leaves rows that the store works with: statuses, the queue, searches",
    withTransfer(suite, withStore, async ({ transfer, store, rows }) => {
      await writeAll(transfer);
      const busy = await store.threads.get({ threadId: uuid(0x10), access: ALL });
      expect(busy).toMatchObject({ status: "busy", updatedAt: 1_700_000_000_002, values: null });
      const failed = await store.threads.get({ threadId: uuid(0x12), access: ALL });
      expect(JSON.parse(failed?.error ?? "null")).toEqual({ error: "TypeError", message: "a\u0000b" });
      expect(JSON.parse(failed?.values ?? "null")).toEqual({ messages: [JSON_CASES] });
      expect(await store.threads.count({ values: { messages: [{ "": "empty key" }] }, access: ALL })).toBe(2);
      const versions = await store.assistants.versions({ assistantId: uuid(1), limit: 9, offset: 0, access: ALL });
      expect(versions.map(({ version }) => version)).toEqual([11, 2, 1]);
      const next = await store.assistants.update({ assistantId: uuid(1), patch: {}, access: ALL });
      expect(next?.version).toBe(12);
      const claimed = await rows.claimOne();
      expect(claimed).toMatchObject({ run: { runId: uuid(0x23), attempt: 4 }, cancel: "interrupt" });
      expect(claimed.lease.leaseToken).toBeGreaterThan(3);
      const outcome = { kind: "ended", status: "interrupted" } as const;
      const finished = await store.runs.finish({ lease: claimed.lease, outcome, threadPatch: {}, hasNext: false });
      expect(finished).toEqual({ accepted: true, nextPending: false });
      expect(await rows.threadStatusOf(uuid(0x10))).toBe("idle");
      expect(await store.runs.abandonedTemporaryThreads({ limit: 9, endedBeforeMs: 0 })).toEqual([uuid(0x11)]);
    }),
  );

  it(
    "leaves records whose versions, order and times go on",
    withTransfer(suite, withStore, async ({ transfer, store: { records }, now }) => {
      await transfer.write({ kind: "records", rows: ROWS.records });
      const keys = ROWS.records.map(({ key }) => JSON.parse(key) as [string, string, string, string]);
      const [live, expired, gone] = keys.map(([space, owner, collection, key]) => ({ space, owner, collection, key }));
      if (live === undefined || expired === undefined || gone === undefined) throw new Error("a record is missing");
      expect(now()).toBeGreaterThan(1_700_000_000_002);
      expect((await records.get(live))?.value).toBe(RECORD_TEXTS[0]);
      expect(await records.get(expired)).toBeNull();
      const value = toJsonText("new");
      expect(await records.write({ ...live, value, expected: 7, tracked: true })).toMatchObject({
        kind: "written",
        previous: RECORD_TEXTS[0],
        record: { version: 8, createdAt: 1_700_000_000_000 },
      });
      // The first one was disposable; of the other its last version is left.
      expect(await records.write({ ...expired, value })).toMatchObject({ record: { version: 1 }, previous: null });
      expect(await records.write({ ...gone, value, expected: 5 })).toEqual({ kind: "conflict", current: 0 });
      expect(await records.write({ ...gone, value, expected: 0 })).toMatchObject({ record: { version: 6 } });
      const later = { ...live, key: "!" };
      await records.write({ ...later, value });
      const page = { order: "created", direction: "asc", limit: 9, offset: 0 } as const;
      expect((await records.list({ ...live, ...page })).map(({ key }) => key)).toEqual([live.key, "!"]);
      expect(await records.count({ space: "state", owner: "", labels: { "": "é" } })).toBe(0);
      await transfer.write({ kind: "records", rows: ROWS.records });
      expect(await records.count({ space: "state", owner: "", labels: { "": "é", "a.b": "$x" } })).toBe(1);
      expect(await records.changes({ ...live, after: 0, limit: 9 })).toEqual([]);
      expect(await records.write({ ...live, value, tracked: true })).toMatchObject({ record: { version: 8 } });
    }),
  );

  it(
    "copies a store that is in use into an empty one of its own kind",
    withTransfer(suite, withStore, async ({ transfer, store, rows }) => {
      const threadId = await rows.thread(JSON_CASES);
      await rows.run(threadId);
      await rows.run(threadId, { delayMs: LEASE_MS });
      await rows.claimOne();
      const before = await Promise.all(TRANSFER_KINDS.map((kind) => readAll(transfer, kind)));
      const target = await suite.open(fakeClock());
      try {
        const copy = target.store.transfer;
        if (copy === null) throw new Error("a second store of the same kind has no transfer");
        for (const [index, kind] of TRANSFER_KINDS.entries()) await copy.write({ kind, rows: before[index] ?? [] });
        expect(await Promise.all(TRANSFER_KINDS.map((kind) => readAll(copy, kind)))).toEqual(before);
        expect(await target.store.runs.explain({ runId: before[3]?.[1]?.key ?? "", access: ALL })).toMatchObject({
          ahead: 1,
          blockedBy: { runId: before[3]?.[0]?.key, status: "pending" },
        });
      } finally {
        await target.close();
      }
      expect(await rows.threadStatusOf(threadId)).toBe("busy");
      expect(await store.threads.count({ access: ALL })).toBe(1);
    }),
  );
}

function orderCases(suite: StoreSuite<MetadataStore>, withStore: WithStore<MetadataStore>): void {
  const { it, expect } = suite.vitest;

  it(
    "names the kinds in the order in which they refer to one another, and refuses what refers to nothing",
    withTransfer(suite, withStore, async ({ transfer }) => {
      expect(TRANSFER_KINDS).toEqual([
        "assistants",
        "assistantVersions",
        "threads",
        "runs",
        "crons",
        "items",
        "apiKeys",
        "records",
      ]);
      await expect(transfer.write({ kind: "runs", rows: ROWS.runs })).rejects.toMatchObject({
        code: "THREAD_NOT_FOUND",
      });
      await expect(transfer.write({ kind: "assistantVersions", rows: ROWS.assistantVersions })).rejects.toMatchObject({
        code: "ASSISTANT_NOT_FOUND",
      });
      expect(await readAll(transfer, "runs")).toEqual([]);
      expect(await readAll(transfer, "assistantVersions")).toEqual([]);
    }),
  );
}
