import { v7 } from "uuid";
import { expect, it } from "vitest";
import type { AccessFilter, Authorizer, Caller } from "../../src/core/auth.js";
import type { CursorRead, EventCursor } from "../../src/core/event-log.js";
import { type JsonObject, toJsonText } from "../../src/core/json.js";
import type { RunEvent } from "../../src/core/run-event.js";
import { rootLifecycle, threadEvent } from "../../src/core/thread-event.js";
import { ThreadCursor } from "../../src/services/thread-cursor.js";
import { succeed } from "../../src/testing/scripted-engine.js";
import { openRuntime, REQUEST, turns } from "../runtime/harness.js";

const user = (identity: string): Caller => ({ identity, permissions: [], user: { identity } });
const ALICE = user("alice");
const BOB = user("bob");

/** Everybody sees their own threads and public ones. */
const owners: Authorizer = {
  authorize(caller, { action, value }) {
    const { identity: owner } = caller;
    const access: AccessFilter = { kind: "match", where: { $or: [{ owner }, { public: true }] } };
    const metadata = value["metadata"] as JsonObject | undefined;
    const creates = action === "create" || action === "create_run";
    if (action === "read" && "assistant_id" in value) return { access: { kind: "all" }, value };
    return { access, value: creates ? { ...value, metadata: { ...metadata, owner } } : value };
  },
};

const seqsOf = (told: readonly CursorRead[]): number[] =>
  told.flatMap((read) => (read.kind === "events" ? read.events.map(({ seq }) => seq) : [])).filter((seq) => seq >= 0);

const open = () => openRuntime({ scripts: { quick: succeed({ n: 1 }) }, authorizer: owners });
type Test = Awaited<ReturnType<typeof open>>;

const follow = (test: Test, caller: Caller, threadId: string) =>
  test.services.threadEvents.follow(caller, threadId, { position: "start", showsValues: () => true });

async function run(test: Test, caller: Caller, threadId: string): Promise<void> {
  const request = { ...REQUEST, assistantId: "quick", ifNotExists: "create", watched: true } as const;
  const created = await test.services.runs.create(caller, threadId, request);
  await test.until(async () => (await test.row(created))?.status === "success", "the run");
  await turns();
}

it("nothing tells a reader that another's thread is there: neither its events nor its end", async () => {
  const test = await open();
  const threadId = v7();
  const early = await follow(test, BOB, threadId);
  const own = await follow(test, ALICE, threadId);
  await run(test, ALICE, threadId);
  expect((await own.next()).kind).toBe("events");
  const late = await follow(test, BOB, threadId);
  const missing = await follow(test, BOB, v7());
  for (const cursor of [early, late]) {
    expect({ isBehind: cursor.isBehind, newestSeq: cursor.newestSeq }).toEqual({
      isBehind: missing.isBehind,
      newestSeq: missing.newestSeq,
    });
  }
  expect(await test.services.threadEvents.lastSeq(ALICE, threadId)).toBeGreaterThan(0);
  expect(await test.services.threadEvents.lastSeq(BOB, threadId)).toBe(0);
  const told: unknown[] = [];
  for (const cursor of [early, late, missing]) void cursor.next().then((read) => told.push(read));
  await run(test, ALICE, threadId);
  for (let i = 0; i < 30; i += 1) {
    test.clock.advance(1_000);
    await turns();
  }
  expect(told).toEqual([]);
  await test.services.threads.delete(ALICE, threadId);
  for (let i = 0; i < 30; i += 1) {
    test.clock.advance(1_000);
    await turns();
  }
  expect(told).toEqual([]);
  for (const cursor of [early, late, missing, own]) cursor.close();
  await turns();
  expect(told).toEqual([{ kind: "end" }, { kind: "end" }, { kind: "end" }]);
});

it("a thread that becomes visible is followed from where the reader wanted to begin", async () => {
  const test = await open();
  const threadId = v7();
  const cursor = await follow(test, BOB, threadId);
  const reading = cursor.next();
  await run(test, ALICE, threadId);
  await test.services.threads.update(ALICE, threadId, { metadata: { public: true } });
  let first: Awaited<typeof reading> | null = null;
  void reading.then((read) => (first = read));
  await test.until(() => first !== null, "the first event", 100);
  expect(first).toMatchObject({
    kind: "events",
    events: expect.arrayContaining([expect.objectContaining({ seq: 0 })]),
  });
  cursor.close();
});

it("a thread that becomes hidden says nothing from its next run on, and not that it is hidden", async () => {
  const test = await open();
  const threadId = v7();
  await run(test, ALICE, threadId);
  const share = (isPublic: boolean) =>
    test.services.threads.update(ALICE, threadId, { metadata: { public: isPublic } });
  await share(true);
  const cursor = await follow(test, BOB, threadId);
  const own = await follow(test, ALICE, threadId);
  const told: CursorRead[] = [];
  const reading = (async () => {
    for (let read = await cursor.next(); ; read = await cursor.next()) {
      told.push(read);
      if (read.kind === "end") return;
    }
  })();
  await test.until(() => told.length > 0, "the first run", 100);
  await turns();
  const seen = seqsOf(told);
  await share(false);
  await run(test, ALICE, threadId);
  for (let i = 0; i < 30; i += 1) {
    test.clock.advance(1_000);
    await turns();
  }
  expect(seqsOf(told)).toEqual(seen);
  expect(told.some(({ kind }) => kind === "end")).toBe(false);
  expect((await own.next()).kind).toBe("events");
  // Shared again: what came meanwhile is there, once and in order.
  await share(true);
  const newest = (await test.services.threadEvents.lastSeq(ALICE, threadId)) - 1;
  await test.until(() => seqsOf(told).at(-1) === newest, "the second run", 1_000);
  expect(seqsOf(told)).toEqual(Array.from({ length: newest + 1 }, (_, seq) => seq));
  // Nor is the end of a hidden one told.
  await share(false);
  await run(test, ALICE, threadId);
  await test.services.threads.delete(ALICE, threadId);
  for (let i = 0; i < 30; i += 1) {
    test.clock.advance(1_000);
    await turns();
  }
  expect(seqsOf(told).at(-1)).toBe(newest);
  expect(told.some(({ kind }) => kind === "end")).toBe(false);
  cursor.close();
  own.close();
  await reading;
});

it("a batch that holds the beginning of a run is shown up to there", async () => {
  const test = await open();
  const threadId = v7();
  await run(test, ALICE, threadId);
  await test.services.threads.update(ALICE, threadId, { metadata: { public: true } });
  const cursor = await follow(test, BOB, threadId);
  const first = seqsOf([await cursor.next()]);
  await run(test, ALICE, threadId);
  await test.services.threads.update(ALICE, threadId, { metadata: { public: false } });
  let more: CursorRead | null = null;
  void cursor.next().then((read) => (more = read));
  for (let i = 0; i < 10; i += 1) {
    test.clock.advance(1_000);
    await turns();
  }
  expect(first.length).toBeGreaterThan(0);
  expect(more).toBeNull();
  cursor.close();
});

it("nobody reads the log for who may not see it, nor asks twice while a run goes on", async () => {
  const test = await open();
  let opened = 0;
  let looks = 0;
  let isVisible = false;
  const eventNamed = (name: string) =>
    name === "running"
      ? rootLifecycle({ runId: "r", graphName: "g", step: "running", timestamp: 0 })
      : threadEvent(name, [], toJsonText({ namespace: [], data: {} }), "token");
  const events = (from: number, ...names: string[]): CursorRead => {
    const numbered: RunEvent[] = [];
    for (const [at, name] of names.entries()) numbered.push({ ...eventNamed(name), seq: from + at });
    return { kind: "events", events: numbered };
  };
  const reads = [events(0, "running", "messages"), events(2, "messages"), events(3, "messages", "running", "messages")];
  const log = (): EventCursor => ({
    next: async () => reads.shift() ?? new Promise(() => undefined),
    close: () => undefined,
  });
  const cursor = new ThreadCursor(
    {
      reopen: async () => {
        opened += 1;
        reads.unshift(events(0, "running", "messages"));
        return log();
      },
      isGone: async () => false,
      isVisible: async () => {
        looks += 1;
        return isVisible;
      },
      mayBecomeHidden: true,
      snapshot: async () => null,
      clock: test.clock,
      onClose: () => undefined,
    },
    log(),
    { nextSeq: 0, newestSeq: 9, isBehind: true, isVisible: true, snapshot: null },
  );
  const first = cursor.next();
  for (let i = 0; i < 20; i += 1) {
    test.clock.advance(5_000);
    await turns();
  }
  expect(opened).toBe(0);
  expect(looks).toBeGreaterThan(5);
  isVisible = true;
  test.clock.advance(5_000);
  expect(seqsOf([await first])).toEqual([0, 1]);
  expect(opened).toBe(1);
  looks = 0;
  expect(seqsOf([await cursor.next()])).toEqual([2]);
  expect(seqsOf([await cursor.next()])).toEqual([3]);
  expect(looks).toBe(0);
  expect(seqsOf([await cursor.next()])).toEqual([4, 5]);
  expect(looks).toBe(1);
  const last = cursor.next();
  cursor.close();
  void last;
});

it("an id whose thread is made anew shows nothing of the one before", async () => {
  const test = await open();
  const threadId = v7();
  await run(test, ALICE, threadId);
  const cursor = await follow(test, BOB, threadId);
  let first: Awaited<ReturnType<typeof cursor.next>> | null = null;
  void cursor.next().then((read) => (first = read));
  for (let i = 0; i < 5; i += 1) {
    test.clock.advance(100);
    await turns();
  }
  await test.services.threads.delete(ALICE, threadId);
  const request = { ...REQUEST, assistantId: "quick", ifNotExists: "create", watched: true } as const;
  const own = await test.services.runs.create(BOB, threadId, request);
  await test.until(() => first !== null, "the first event", 100);
  expect(JSON.stringify(first)).toContain(own.runId);
  cursor.close();
});

it("a reader that leaves while the thread is hidden is let go", async () => {
  const test = await open();
  const threadId = v7();
  await run(test, ALICE, threadId);
  const cursor = await follow(test, BOB, threadId);
  const left = new AbortController();
  const reading = cursor.next(left.signal);
  await turns();
  left.abort(new Error("left"));
  await expect(reading).rejects.toThrow("left");
  cursor.close();
});
