import type { MetadataStore } from "../../core/metadata-store.js";
import { ALL, CLAIM, owner, Rows, type StoreSuite, uuid, type WithStore } from "./suite.js";

/** `threads.watch` and what it says to who claims: threads that somebody follows by the event protocol. */
export function watchCases(
  { vitest: { it, expect } }: StoreSuite<MetadataStore>,
  withStore: WithStore<MetadataStore>,
): void {
  it(
    "tells the claims of a watched thread, also of runs that were there before, and of no other thread",
    withStore(async ({ store }) => {
      const rows = new Rows(store);
      const [watched, other] = [await rows.thread(), await rows.thread()];
      const before = await rows.run(watched);
      const unwatched = await rows.run(other);
      expect(await store.threads.watch({ threadId: watched, access: ALL })).toBe(true);
      const claims = await rows.claim();
      expect(claims.map((claim) => [claim.run.runId, claim.watched])).toEqual([
        [before.runId, true],
        [unwatched.runId, false],
      ]);
      // It stays so, whatever ends and whoever claims.
      for (const { lease } of claims) await rows.finish(lease);
      const next = await rows.create(watched, {}, CLAIM);
      expect(next).toMatchObject({ kind: "created", watched: true, superseded: [] });
      expect(await rows.create(other, {}, CLAIM)).toMatchObject({ kind: "created", watched: false });
    }),
  );

  it(
    "watches the thread of a run that asks for it, new or not, leased or not",
    withStore(async ({ store }) => {
      const rows = new Rows(store);
      const [fresh, waiting, existing] = [rows.id(), rows.id(), await rows.thread()];
      const leased = await rows.create(fresh, { createThread: true, watched: true }, CLAIM);
      expect(leased).toMatchObject({ kind: "created", watched: true, lease: { leaseToken: 1 } });
      expect(await rows.create(waiting, { createThread: true, watched: true })).toMatchObject({ watched: true });
      expect(await rows.claimOne()).toMatchObject({ run: { threadId: waiting }, watched: true });
      expect(await rows.create(existing, {}, CLAIM)).toMatchObject({ watched: false });
      // A run that is already executed is not told: the next one is.
      expect(await rows.create(existing, { watched: true }, CLAIM)).toMatchObject({ lease: null, watched: true });
    }),
  );

  it(
    "a run that is refused watches nothing",
    withStore(async ({ store }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread();
      const { lease } = await rows.leased(threadId);
      expect(await rows.create(threadId, { multitaskStrategy: "reject", watched: true })).toMatchObject({
        kind: "busy",
      });
      expect(await rows.create(rows.id(), { watched: true })).toEqual({ kind: "no-thread" });
      await rows.finish(lease);
      expect(await rows.create(threadId, {}, CLAIM)).toMatchObject({ watched: false });
    }),
  );

  it(
    "is told again after a lost lease",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread();
      await rows.leased(threadId);
      await store.threads.watch({ threadId, access: ALL });
      clock.advance(CLAIM.leaseMs + 1);
      await store.runs.reapExpired({ maxAttempts: 3 });
      expect(await rows.claimOne("worker-2")).toMatchObject({ run: { attempt: 2 }, watched: true });
    }),
  );

  it(
    "may be asked for by many at once and again and again, and changes no row",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread({ owner: "a", tags: ["x"] });
      const before = await store.threads.get({ threadId, access: ALL });
      clock.advance(5);
      const asked = await Promise.all(Array.from({ length: 5 }, () => store.threads.watch({ threadId, access: ALL })));
      expect(asked).toEqual([true, true, true, true, true]);
      expect(await store.threads.watch({ threadId, access: ALL })).toBe(true);
      expect(await store.threads.get({ threadId, access: ALL })).toEqual(before);
      await store.threads.update({ threadId, metadata: { more: 1 }, access: ALL });
      expect(await rows.create(threadId, {}, CLAIM)).toMatchObject({ watched: true });
    }),
  );

  it(
    "does not see hidden and missing threads, and forgets deleted ones",
    withStore(async ({ store }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread({ owner: "a" });
      expect(await store.threads.watch({ threadId, access: owner("b") })).toBe(false);
      expect(await rows.create(threadId, {}, CLAIM)).toMatchObject({ watched: false });
      expect(await store.threads.watch({ threadId, access: owner("a") })).toBe(true);
      // Also of a thread that is watched already.
      expect(await store.threads.watch({ threadId, access: owner("b") })).toBe(false);
      expect(await store.threads.watch({ threadId: uuid(0xabc), access: ALL })).toBe(false);
      await store.threads.delete({ threadId, access: ALL });
      expect(await store.threads.watch({ threadId, access: ALL })).toBe(false);
      await store.threads.create({ threadId, metadata: {}, access: ALL });
      expect(await rows.create(threadId, {}, CLAIM)).toMatchObject({ watched: false });
    }),
  );
}
