import type { ClaimedCron, Cron, CronSortField, NewCron } from "../../core/cron.js";
import type { JsonObject } from "../../core/json.js";
import type { MetadataStore } from "../../core/metadata-store.js";
import { AWKWARD_JSON } from "./json-cases.js";
import {
  ALL,
  ASSISTANT_ID,
  LEASE_MS,
  newAssistant,
  newRun,
  owner,
  Rows,
  type StoreSuite,
  uuid,
  type WithStore,
  withStoreOf,
} from "./suite.js";

const EVERY_MINUTE_MS = 60_000;
const CLAIM = { leaseMs: LEASE_MS, limit: 10 };

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

function newCron(n: number, draft: Partial<NewCron> = {}): NewCron {
  return {
    cronId: uuid(n),
    assistantId: ASSISTANT_ID,
    threadId: null,
    schedule: "* * * * *",
    timezone: null,
    endTime: null,
    enabled: true,
    onRunCompleted: "delete",
    multitaskStrategy: "enqueue",
    payload: { streamModes: ["values"], streamSubgraphs: false, streamResumable: false, durability: "async" },
    metadata: {},
    creator: { kind: "caller", identity: null, permissions: [], user: null },
    nextRunAt: null,
    ...draft,
  };
}

async function assistant(store: MetadataStore, assistantId = ASSISTANT_ID): Promise<void> {
  await store.assistants.create({ draft: { ...newAssistant(1), assistantId }, access: ALL });
}

async function create(store: MetadataStore, draft: NewCron): Promise<Cron> {
  const outcome = await store.crons.create({ draft });
  if (outcome.kind !== "created") throw new Error(`cron was not created: ${outcome.kind}`);
  return outcome.cron;
}

async function claimOne(store: MetadataStore): Promise<ClaimedCron> {
  const [claimed] = await store.crons.claimDue(CLAIM);
  if (claimed === undefined) throw new Error("no cron is due");
  return claimed;
}

/** The run of a tick of a cron that gives each run a thread of its own. */
function tickRun(n: number) {
  return newRun(n, uuid(n + 0x500), { createThread: true });
}

type Suite = StoreSuite<MetadataStore>;
type With = WithStore<MetadataStore>;

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

function dueCases({ vitest: { it, expect } }: Suite, withStore: With): void {
  it(
    "hands out what is due, oldest first and once, and again when a claim has run out",
    withStore(async ({ store, clock }) => {
      await assistant(store);
      const now = clock.now();
      expect(await store.crons.nextDueAt()).toEqual({ now, at: null });
      await create(store, newCron(1, { nextRunAt: now + 2_000 }));
      await create(store, newCron(2, { nextRunAt: now + 1_000 }));
      await create(store, newCron(3, { nextRunAt: null }));
      expect(await store.crons.nextDueAt()).toEqual({ now, at: now + 1_000 });
      expect(await store.crons.claimDue(CLAIM)).toEqual([]);
      clock.advance(2_000);
      const [first, ...none] = await store.crons.claimDue({ ...CLAIM, limit: 1 });
      expect(none).toEqual([]);
      expect(first?.cron.cronId).toBe(uuid(2));
      expect(first?.now).toBe(clock.now());
      expect((await store.crons.claimDue(CLAIM)).map(({ cron }) => cron.cronId)).toEqual([uuid(1)]);
      expect(await store.crons.claimDue(CLAIM)).toEqual([]);
      expect((await store.crons.nextDueAt()).at).toBe(clock.now() + LEASE_MS);
      clock.advance(LEASE_MS);
      const again = await store.crons.claimDue(CLAIM);
      expect(again.map(({ cron }) => cron.cronId)).toEqual([uuid(2), uuid(1)]);
      expect(again[0]?.leaseToken).toBeGreaterThan(first?.leaseToken ?? 0);
    }),
  );

  it(
    "moves on without a run, for whoever holds the claim",
    withStore(async ({ store, clock }) => {
      await assistant(store);
      const now = clock.now();
      await create(store, newCron(1, { nextRunAt: now }));
      const stale = await claimOne(store);
      clock.advance(LEASE_MS);
      const claimed = await claimOne(store);
      const skip = { cronId: uuid(1), next: now + EVERY_MINUTE_MS };
      expect(await store.crons.skip({ ...skip, leaseToken: stale.leaseToken })).toBe(false);
      expect(await store.crons.skip({ ...skip, leaseToken: claimed.leaseToken })).toBe(true);
      expect((await store.crons.get({ cronId: uuid(1), access: ALL }))?.nextRunAt).toBe(now + EVERY_MINUTE_MS);
      expect(await store.crons.skip({ ...skip, leaseToken: claimed.leaseToken, next: null })).toBe(false);
      expect((await store.crons.nextDueAt()).at).toBe(now + EVERY_MINUTE_MS);
    }),
  );

  it(
    "takes a cron from who has claimed it when its next tick changes, and only then",
    withStore(async ({ store, clock }) => {
      await assistant(store);
      const now = clock.now();
      const { cronId, revision } = await create(store, newCron(1, { nextRunAt: now }));
      const claimed = await claimOne(store);
      const skip = { cronId, leaseToken: claimed.leaseToken, next: now + 9 };
      const renamed = await store.crons.update({ cronId, revision, change: { metadata: { a: 1 } }, access: ALL });
      if (renamed.kind !== "updated") throw new Error(renamed.kind);
      expect(await store.crons.claimDue(CLAIM)).toEqual([]);
      const moved = { cronId, revision: renamed.cron.revision, change: { nextRunAt: now + 5 }, access: ALL };
      expect((await store.crons.update(moved)).kind).toBe("updated");
      expect(await store.crons.skip(skip)).toBe(false);
      const fired = await store.crons.fire({ ...skip, draft: tickRun(1), access: ALL });
      expect(fired).toEqual({ kind: "lost" });
      expect(await store.runs.get({ runId: uuid(1), access: ALL })).toBeNull();
      clock.advance(5);
      expect((await claimOne(store)).cron.nextRunAt).toBe(now + 5);
    }),
  );
}

function fireCases({ vitest: { it, expect } }: Suite, withStore: With): void {
  it(
    "creates a tick's run and moves the cron on",
    withStore(async ({ store, clock }) => {
      await assistant(store);
      const now = clock.now();
      await create(store, newCron(1, { nextRunAt: now }));
      const { leaseToken } = await claimOne(store);
      const next = now + EVERY_MINUTE_MS;
      const draft = tickRun(1);
      const fire = { cronId: uuid(1), leaseToken, next, draft, access: ALL };
      const answer = await store.crons.fire(fire);
      if (answer.kind !== "fired" || answer.outcome.kind !== "created") throw new Error("it was not fired");
      expect(answer.outcome).toMatchObject({ lease: null, superseded: [], watched: false });
      expect(answer.outcome.run).toMatchObject({ runId: uuid(1), threadId: draft.threadId, status: "pending" });
      expect((await store.crons.get({ cronId: uuid(1), access: ALL }))?.nextRunAt).toBe(next);
      expect(await store.crons.fire({ ...fire, draft: tickRun(2) })).toEqual({ kind: "lost" });
      expect(await store.runs.get({ runId: uuid(2), access: ALL })).toBeNull();
      const rows = new Rows(store);
      const claimed = await rows.claimOne();
      expect(claimed.run.runId).toBe(uuid(1));
      expect(await rows.finish(claimed.lease)).toBe(true);
      expect(await store.crons.claimDue(CLAIM)).toEqual([]);
      clock.advance(EVERY_MINUTE_MS);
      expect((await claimOne(store)).cron.nextRunAt).toBe(next);
    }),
  );

  it(
    "moves on where no run can be created, and to no tick at all",
    withStore(async ({ store, clock }) => {
      await assistant(store);
      const rows = new Rows(store);
      const threadId = await rows.thread();
      const inflight = await rows.run(threadId);
      const now = clock.now();
      await create(store, newCron(1, { threadId, nextRunAt: now }));
      const fire = { cronId: uuid(1), next: now + 1, access: ALL };
      const reject = newRun(1, threadId, { multitaskStrategy: "reject" });
      const busy = await store.crons.fire({ ...fire, leaseToken: (await claimOne(store)).leaseToken, draft: reject });
      const inflightRefs = [{ runId: inflight.runId, threadId }];
      expect(busy).toEqual({ kind: "fired", outcome: { kind: "busy", inflight: inflightRefs } });
      clock.advance(1);
      const hidden = { ...fire, next: null, draft: newRun(2, threadId), access: owner("bob") };
      const none = await store.crons.fire({ ...hidden, leaseToken: (await claimOne(store)).leaseToken });
      expect(none).toEqual({ kind: "fired", outcome: { kind: "no-thread" } });
      expect((await store.crons.get({ cronId: uuid(1), access: ALL }))?.nextRunAt).toBeNull();
      clock.advance(LEASE_MS);
      expect(await store.crons.claimDue(CLAIM)).toEqual([]);
    }),
  );

  it(
    "queues behind a busy thread, and interrupts where that is asked for",
    withStore(async ({ store, clock }) => {
      await assistant(store);
      const rows = new Rows(store);
      const threadId = await rows.thread();
      const { run } = await rows.leased(threadId);
      const now = clock.now();
      await create(store, newCron(1, { threadId, nextRunAt: now }));
      const fire = { cronId: uuid(1), access: ALL };
      const queued = await store.crons.fire({
        ...fire,
        next: now + 1,
        leaseToken: (await claimOne(store)).leaseToken,
        draft: newRun(1, threadId),
      });
      expect(queued).toMatchObject({ kind: "fired", outcome: { kind: "created", superseded: [] } });
      clock.advance(1);
      const interrupting = await store.crons.fire({
        ...fire,
        next: null,
        leaseToken: (await claimOne(store)).leaseToken,
        draft: newRun(2, threadId, { multitaskStrategy: "interrupt" }),
      });
      if (interrupting.kind !== "fired" || interrupting.outcome.kind !== "created") throw new Error("not fired");
      const ended = interrupting.outcome.superseded
        .map(({ runId, was }) => `${runId} ${was}`)
        .toSorted((a, b) => (a < b ? -1 : 1));
      expect(ended).toEqual([`${uuid(1)} pending`, `${run.runId} running`]);
      expect(await rows.statusOf(uuid(2))).toBe("pending");
    }),
  );

  it(
    "takes a run that is there already for the tick's",
    withStore(async ({ store, clock }) => {
      await assistant(store);
      const rows = new Rows(store);
      const threadId = await rows.thread();
      await store.runs.create({ draft: newRun(1, threadId), access: ALL });
      const now = clock.now();
      await create(store, newCron(1, { threadId, nextRunAt: now }));
      const { leaseToken } = await claimOne(store);
      const fire = { cronId: uuid(1), leaseToken, next: null, draft: newRun(1, threadId), access: ALL };
      expect(await store.crons.fire(fire)).toMatchObject({
        kind: "fired",
        outcome: { kind: "created", superseded: [] },
      });
      expect(await store.runs.list({ threadId, limit: 10, offset: 0, access: ALL })).toHaveLength(1);
      expect((await store.crons.get({ cronId: uuid(1), access: ALL }))?.nextRunAt).toBeNull();
    }),
  );
}

function raceCases({ vitest: { it, expect } }: Suite, withStore: With): void {
  it(
    "fires a tick once, whoever claims and fires at the same time",
    withStore(async ({ store, clock }) => {
      await assistant(store);
      const count = 12;
      for (let n = 1; n <= count; n += 1) await create(store, newCron(n, { nextRunAt: clock.now() }));
      const claims = (await Promise.all(Array.from({ length: 4 }, () => store.crons.claimDue(CLAIM)))).flat();
      expect(new Set(claims.map(({ cron }) => cron.cronId)).size).toBe(claims.length);
      const answers = await Promise.all(
        claims.flatMap(({ cron: { cronId }, leaseToken }, i) =>
          // Twice each, with runs of different ids: only one may count.
          [0, 1].map((k) =>
            store.crons.fire({ cronId, leaseToken, next: null, draft: tickRun(100 + 2 * i + k), access: ALL }),
          ),
        ),
      );
      const started = (await new Rows(store).claim()).length;
      expect(started).toBe(claims.length);
      expect(answers.filter(({ kind }) => kind === "fired")).toHaveLength(claims.length);
    }),
  );

  it(
    "keeps a tick's run to one when a claim runs out in the middle and its holder goes on",
    withStore(async ({ store, clock }) => {
      await assistant(store);
      const now = clock.now();
      await create(store, newCron(1, { nextRunAt: now }));
      const slow = await claimOne(store);
      clock.advance(LEASE_MS);
      const quick = await claimOne(store);
      const next = now + 10 * LEASE_MS;
      const fire = { cronId: uuid(1), next, draft: tickRun(1), access: ALL };
      expect((await store.crons.fire({ ...fire, leaseToken: quick.leaseToken })).kind).toBe("fired");
      const rows = new Rows(store);
      const { lease, run } = await rows.claimOne();
      await rows.finish(lease);
      // As a stateless run's end does: nothing of it is left.
      await store.threads.delete({ threadId: run.threadId, access: ALL });
      expect(await store.crons.fire({ ...fire, leaseToken: slow.leaseToken })).toEqual({ kind: "lost" });
      expect(await rows.claim()).toEqual([]);
    }),
  );

  it(
    "gives no tick to a cron that was deleted",
    withStore(async ({ store, clock }) => {
      await assistant(store);
      await create(store, newCron(1, { nextRunAt: clock.now() }));
      const { leaseToken } = await claimOne(store);
      await store.crons.delete({ cronId: uuid(1), access: ALL });
      const fire = { cronId: uuid(1), leaseToken, next: null, draft: tickRun(1), access: ALL };
      expect(await store.crons.fire(fire)).toEqual({ kind: "lost" });
      expect(await new Rows(store).claim()).toEqual([]);
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
