import { ALL, LEASE_MS, newRun, owner, Rows, uuid } from "./suite.js";
import {
  assistant,
  CLAIM,
  claimOne,
  create,
  EVERY_MINUTE_MS,
  newCron,
  type Suite,
  tickRun,
  type With,
} from "./cron-drafts.js";

/* What of the contract of `MetadataStore.crons` is about ticks. */

export function dueCases({ vitest: { it, expect } }: Suite, withStore: With): void {
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

export function fireCases({ vitest: { it, expect } }: Suite, withStore: With): void {
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

export function raceCases({ vitest: { it, expect } }: Suite, withStore: With): void {
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
    "leaves the next tick to who fires when another change comes at the same time",
    withStore(async ({ store, clock }) => {
      await assistant(store);
      const tries = 10;
      const now = clock.now();
      for (let n = 1; n <= tries; n += 1) {
        const cronId = uuid(n);
        const { revision } = await create(store, newCron(n, { nextRunAt: now }));
        const { leaseToken } = await claimOne(store);
        const next = now + EVERY_MINUTE_MS;
        const update = { cronId, revision, change: { metadata: { n } }, access: ALL };
        const [fired, updated] = await Promise.all([
          store.crons.fire({ cronId, leaseToken, next, draft: tickRun(100 + n), access: ALL }),
          store.crons.update(update),
        ]);
        expect([fired.kind, updated.kind]).toEqual(["fired", "updated"]);
        expect(await store.crons.get({ cronId, access: ALL })).toMatchObject({ nextRunAt: next, metadata: { n } });
      }
      expect(await new Rows(store).claim()).toHaveLength(tries);
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
