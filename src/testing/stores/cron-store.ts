import type { CronSortField } from "../../core/cron.js";
import type { JsonObject } from "../../core/json.js";
import type { MetadataStore } from "../../core/metadata-store.js";
import { AWKWARD_JSON } from "./json-cases.js";
import { ALL, ASSISTANT_ID, owner, Rows, type StoreSuite, uuid, withStoreOf } from "./suite.js";
import { assistant, create, newCron, type Suite, type With } from "./cron-drafts.js";
import { dueCases, fireCases, raceCases } from "./cron-ticks.js";

/** The contract of `MetadataStore.crons`. */
export function testCronStore(suite: StoreSuite<MetadataStore>): void {
  const withStore = withStoreOf(suite);
  suite.vitest.describe(`CronStore: ${suite.name}`, () => {
    rowCases(suite, withStore);
    searchCases(suite, withStore);
    dueCases(suite, withStore);
    fireCases(suite, withStore);
    raceCases(suite, withStore);
  });
}

function rowCases({ vitest: { it, expect } }: Suite, withStore: With): void {
  it(
    "keeps a cron as it was given",
    withStore(async ({ store, clock }) => {
      await assistant(store);
      const threadId = await new Rows(store).thread();
      const full = newCron(1, {
        threadId,
        schedule: "*/5 1-3 * JAN MON",
        timezone: "Europe/Berlin",
        endTime: clock.now() + 5,
        enabled: false,
        onRunCompleted: "keep",
        multitaskStrategy: "rollback",
        payload: {
          input: AWKWARD_JSON,
          config: { configurable: AWKWARD_JSON },
          context: [AWKWARD_JSON],
          webhook: { host: "example.com:443", url: "https://example.com/\u0000" },
          interruptBefore: "*",
          interruptAfter: ["a"],
          streamModes: ["values", "events"],
          streamSubgraphs: true,
          streamResumable: true,
          durability: "exit",
        },
        metadata: AWKWARD_JSON,
        creator: { kind: "caller", identity: "ada\u0000", permissions: ["x"], user: AWKWARD_JSON },
        nextRunAt: clock.now() + 1,
      });
      const plain = newCron(2, { creator: { kind: "server" } });
      for (const draft of [full, plain]) {
        const cron = await create(store, draft);
        expect(cron).toEqual({ ...draft, revision: cron.revision, createdAt: clock.now(), updatedAt: clock.now() });
        expect(await store.crons.get({ cronId: draft.cronId, access: ALL })).toEqual(cron);
      }
      expect(await store.crons.get({ cronId: uuid(3), access: ALL })).toBeNull();
    }),
  );

  it(
    "takes none for an assistant or a thread that is not there",
    withStore(async ({ store }) => {
      expect(await store.crons.create({ draft: newCron(1) })).toEqual({ kind: "gone" });
      await assistant(store);
      expect(await store.crons.create({ draft: newCron(1, { threadId: uuid(9) }) })).toEqual({ kind: "gone" });
      expect(await store.crons.count({ access: ALL })).toBe(0);
    }),
  );

  it(
    "changes a cron that is as it was read, and only what is given",
    withStore(async ({ store, clock }) => {
      await assistant(store);
      const before = await create(store, newCron(1, { metadata: { owner: "ada" }, nextRunAt: clock.now() + 1_000 }));
      const update = { cronId: before.cronId, revision: before.revision };
      clock.advance(10);
      const outcome = await store.crons.update({ ...update, change: { enabled: false, nextRunAt: null }, access: ALL });
      if (outcome.kind !== "updated") throw new Error(outcome.kind);
      expect(outcome.cron).toEqual({
        ...before,
        enabled: false,
        nextRunAt: null,
        revision: outcome.cron.revision,
        updatedAt: before.updatedAt + 10,
      });
      expect(outcome.cron.revision).not.toBe(before.revision);
      expect(await store.crons.get({ cronId: before.cronId, access: ALL })).toEqual(outcome.cron);
      const again = await store.crons.update({ ...update, change: { schedule: "x" }, access: ALL });
      expect(again).toEqual({ kind: "changed" });
      const hidden = { ...update, revision: outcome.cron.revision, change: { schedule: "x" }, access: owner("bob") };
      expect(await store.crons.update(hidden)).toEqual({ kind: "not-found" });
      expect(await store.crons.update({ ...hidden, cronId: uuid(2), access: ALL })).toEqual({ kind: "not-found" });
    }),
  );

  it(
    "shows, changes and deletes only what access shows",
    withStore(async ({ store }) => {
      await assistant(store);
      const cron = await create(store, newCron(1, { metadata: { owner: "ada" } }));
      const { cronId } = cron;
      expect(await store.crons.get({ cronId, access: owner("bob") })).toBeNull();
      expect(await store.crons.delete({ cronId, access: owner("bob") })).toBeNull();
      expect(await store.crons.get({ cronId, access: owner("ada") })).toEqual(cron);
      expect(await store.crons.delete({ cronId, access: owner("ada") })).toEqual(cron);
      expect(await store.crons.delete({ cronId, access: ALL })).toBeNull();
    }),
  );

  it(
    "removes crons with their thread and with their assistant",
    withStore(async ({ store }) => {
      await assistant(store);
      await assistant(store, uuid(0xa56));
      const rows = new Rows(store);
      const [threadId, other] = [await rows.thread(), await rows.thread()];
      await create(store, newCron(1, { threadId }));
      await create(store, newCron(2, { threadId: other }));
      await create(store, newCron(3));
      await create(store, newCron(4, { assistantId: uuid(0xa56) }));
      const left = async () => {
        const page = { limit: 10, offset: 0, sortBy: "cron_id", sortOrder: "asc" } as const;
        return (await store.crons.search({ ...page, access: ALL })).rows.map(({ cronId }) => cronId);
      };
      await store.threads.delete({ threadId, access: ALL });
      expect(await left()).toEqual([uuid(2), uuid(3), uuid(4)]);
      await store.assistants.delete({ assistantId: ASSISTANT_ID, access: ALL });
      expect(await left()).toEqual([uuid(4)]);
    }),
  );
}

function searchCases({ vitest: { it, expect } }: Suite, withStore: With): void {
  it(
    "searches and counts by assistant, thread, state, metadata and access",
    withStore(async ({ store }) => {
      await assistant(store);
      await assistant(store, uuid(0xa56));
      const threadId = await new Rows(store).thread();
      await create(store, newCron(1, { threadId, metadata: { owner: "ada", deep: { list: [1, 2] } } }));
      await create(store, newCron(2, { enabled: false, metadata: { owner: "ada" } }));
      await create(store, newCron(3, { assistantId: uuid(0xa56), metadata: { owner: "bob", deep: { list: [2] } } }));
      const queries = [
        [{}, [1, 2, 3]],
        [{ assistantId: uuid(0xa56) }, [3]],
        [{ threadId }, [1]],
        [{ threadId: uuid(7) }, []],
        [{ enabled: true }, [1, 3]],
        [{ enabled: false }, [2]],
        [{ metadata: { owner: "ada" } }, [1, 2]],
        [{ metadata: { deep: { list: [2] } } }, [1, 3]],
        [{ access: owner("ada"), enabled: true }, [1]],
        [{ access: owner("ada"), metadata: { deep: { list: [2] } } }, [1]],
      ] as const;
      for (const [query, ids] of queries) {
        const page = { limit: 10, offset: 0, sortBy: "cron_id", sortOrder: "asc", access: ALL, ...query } as const;
        const { rows, total } = await store.crons.search(page);
        expect(rows.map(({ cronId }) => cronId)).toEqual(ids.map((n) => uuid(n)));
        expect(total).toBe(ids.length);
        expect(await store.crons.count({ access: ALL, ...query })).toBe(ids.length);
      }
    }),
  );

  it(
    "sorts by every field both ways, what is null as the greatest, ties by id, and pages with the true total",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      await assistant(store);
      await assistant(store, uuid(0xa54));
      const [first, second] = [await rows.thread(), await rows.thread()];
      const now = clock.now();
      const drafts = [
        { assistantId: uuid(0xa54), threadId: second, nextRunAt: now + 500, endTime: null },
        { threadId: null, nextRunAt: null, endTime: now + 5_000 },
        { threadId: first, nextRunAt: now + 100, endTime: now + 9_000 },
        { threadId: null, nextRunAt: now + 500, endTime: null },
      ];
      for (const [i, draft] of drafts.entries()) {
        await create(store, newCron(i + 1, draft));
        clock.advance(1);
      }
      const third = await store.crons.get({ cronId: uuid(1), access: ALL });
      await store.crons.update({ cronId: uuid(1), revision: third?.revision ?? 0, change: {}, access: ALL });
      const expected: Readonly<Record<CronSortField, readonly number[]>> = {
        cron_id: [1, 2, 3, 4],
        assistant_id: [1, 2, 3, 4],
        thread_id: [3, 1, 2, 4],
        next_run_date: [3, 1, 4, 2],
        end_time: [2, 3, 1, 4],
        created_at: [1, 2, 3, 4],
        updated_at: [2, 3, 4, 1],
      };
      for (const [field, order] of Object.entries(expected)) {
        for (const sortOrder of ["asc", "desc"] as const) {
          const query = { sortBy: field as CronSortField, sortOrder, access: ALL };
          const ids = (sortOrder === "asc" ? order : order.toReversed()).map((n) => uuid(n));
          const { rows: all, total } = await store.crons.search({ ...query, limit: 10, offset: 0 });
          expect([field, sortOrder, ...all.map(({ cronId }) => cronId)]).toEqual([field, sortOrder, ...ids]);
          expect(total).toBe(4);
          const { rows: page, total: same } = await store.crons.search({ ...query, limit: 2, offset: 1 });
          expect(page.map(({ cronId }) => cronId)).toEqual(ids.slice(1, 3));
          expect(same).toBe(4);
        }
      }
      const beyond = { limit: 10, offset: 9, sortBy: "created_at", sortOrder: "desc", access: ALL } as const;
      expect(await store.crons.search(beyond)).toEqual({ rows: [], total: 4 });
    }),
  );
}

/** Rows of a copy (core/row-transfer), of an assistant and a thread that are there. */
export function transferredCrons(params: {
  readonly assistantId: string;
  readonly threadId: string;
  readonly json: JsonObject;
}): readonly { readonly key: string; readonly value: JsonObject }[] {
  const { assistantId, threadId, json } = params;
  return [1, 2].map((n) => {
    const draft = newCron(0x40 + n, {
      assistantId,
      threadId: n === 1 ? null : threadId,
      timezone: n === 1 ? null : "Asia/Tokyo",
      endTime: n === 1 ? null : 1_900_000_000_000,
      enabled: n === 2,
      payload: { ...newCron(0).payload, input: json },
      metadata: json,
      creator: n === 1 ? { kind: "server" } : { kind: "caller", identity: "ada", permissions: ["p"], user: json },
      nextRunAt: n === 1 ? null : 1_800_000_000_000,
    });
    const value = { ...draft, revision: n, createdAt: 1_700_000_000_000, updatedAt: 1_700_000_000_001 };
    return { key: draft.cronId, value: JSON.parse(JSON.stringify(value)) as JsonObject };
  });
}
