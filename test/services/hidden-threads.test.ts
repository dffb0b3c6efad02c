import { v7 } from "uuid";
import { expect, it } from "vitest";
import type { AccessFilter, Authorizer, Caller } from "../../src/core/auth.js";
import type { JsonObject } from "../../src/core/json.js";
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
