import { describe, expect, it } from "vitest";
import { IDEMPOTENCY_TTL_MS, type IdempotentAttempt } from "../../src/core/idempotency.js";
import { toJsonText } from "../../src/core/json.js";
import { createIdempotency } from "../../src/services/idempotency.js";
import { createMemoryRecords } from "../../src/stores/memory/records.js";
import { fakeClock } from "../../src/testing/fake-clock.js";

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const CALLER = { identity: "ada", user: { identity: "ada" } };
const REQUEST = { caller: CALLER, operation: "make", key: "k", body: { a: 1 } };
const LEASE_MS = 9_000;

function open() {
  const clock = fakeClock();
  const records = createMemoryRecords(clock);
  const server = () => createIdempotency({ records, clock, logger: silent }, { leaseMs: LEASE_MS });
  return { clock, records, server };
}

const answer = (n: number) => async () => ({
  status: 200,
  headers: { etag: "1" },
  body: toJsonText({ n }),
  store: true,
});

/** An execution that ends when it is told to. */
function held() {
  const { promise, resolve } = Promise.withResolvers<void>();
  const started = Promise.withResolvers<IdempotentAttempt>();
  return {
    resolve,
    started: started.promise,
    execute: async (attempt: IdempotentAttempt) => {
      started.resolve(attempt);
      await promise;
      return answer(1)();
    },
  };
}

describe("idempotency", () => {
  it("answers as before, for as long as it is kept", async () => {
    const { clock, server } = open();
    const idempotency = server();
    expect(await idempotency.run(REQUEST, answer(1))).toMatchObject({
      kind: "done",
      replayed: false,
      answer: { body: '{"n":1}' },
    });
    clock.advance(IDEMPOTENCY_TTL_MS - 1);
    const again = await idempotency.run(REQUEST, answer(2));
    expect(again).toEqual({
      kind: "done",
      replayed: true,
      answer: { status: 200, headers: { etag: "1" }, body: '{"n":1}' },
    });
    clock.advance(1);
    expect(await idempotency.run(REQUEST, answer(3))).toMatchObject({ replayed: false, answer: { body: '{"n":3}' } });
  });

  it.each([
    ["another owner", { caller: { identity: "bob", user: { identity: "bob" } } }],
    ["nobody", { caller: { identity: null, user: null } }],
    ["another operation", { operation: "break" }],
    ["another key", { key: "l" }],
  ])("%s is another request", async (_, other) => {
    const idempotency = open().server();
    await idempotency.run(REQUEST, answer(1));
    expect(await idempotency.run({ ...REQUEST, ...other }, answer(2))).toMatchObject({ replayed: false });
  });

  it("another body is told, also while the first is under way", async () => {
    const idempotency = open().server();
    const first = held();
    const running = idempotency.run(REQUEST, first.execute);
    await first.started;
    expect(await idempotency.run({ ...REQUEST, body: { a: 2 } }, answer(2))).toEqual({ kind: "mismatch" });
    expect(await idempotency.run(REQUEST, answer(2))).toEqual({ kind: "in-flight", retryAfterMs: 1_000 });
    first.resolve();
    await running;
    expect(await idempotency.run({ ...REQUEST, body: { a: 2 } }, answer(2))).toEqual({ kind: "mismatch" });
  });

  it("holds its key as long as it lives, however long that is", async () => {
    const { clock, server } = open();
    const first = held();
    const running = server().run(REQUEST, first.execute);
    await first.started;
    for (let i = 0; i < 12; i += 1) {
      clock.advance(LEASE_MS / 3);
      await new Promise(setImmediate);
      expect(await server().run(REQUEST, answer(2))).toMatchObject({ kind: "in-flight" });
    }
    first.resolve();
    await running;
    expect(await server().run(REQUEST, answer(2))).toMatchObject({ replayed: true, answer: { body: '{"n":1}' } });
  });

  it("waits for the first one, when it may", async () => {
    const { clock, server } = open();
    const first = held();
    const running = server().run(REQUEST, first.execute);
    await first.started;
    const waiting = server().run({ ...REQUEST, waitMs: 5_000 }, answer(2));
    first.resolve();
    await running;
    let outcome: unknown = null;
    void waiting.then((done) => (outcome = done));
    for (let i = 0; i < 50 && outcome === null; i += 1) {
      clock.advance(250);
      await new Promise(setImmediate);
    }
    expect(outcome).toMatchObject({ kind: "done", replayed: true, answer: { body: '{"n":1}' } });
  });

  it("what a dead process began is begun again by the same id, and said to be so", async () => {
    const { clock, server } = open();
    const dead = held();
    // Its timers die with it.
    const stopped = { now: () => clock.now(), setTimer: () => ({ cancel() {} }) };
    const records = createMemoryRecords(clock);
    void createIdempotency({ records, clock: stopped, logger: silent }, { leaseMs: LEASE_MS }).run(
      REQUEST,
      dead.execute,
    );
    const { id, isRepeated } = await dead.started;
    expect(isRepeated).toBe(false);
    const living = createIdempotency({ records, clock, logger: silent }, { leaseMs: LEASE_MS });
    expect(await living.run(REQUEST, answer(2))).toMatchObject({ kind: "in-flight" });
    clock.advance(LEASE_MS);
    expect(await living.run({ ...REQUEST, body: { a: 2 } }, answer(2))).toEqual({ kind: "mismatch" });
    const attempts: IdempotentAttempt[] = [];
    const outcome = await living.run(REQUEST, async (attempt) => {
      attempts.push(attempt);
      return answer(3)();
    });
    expect(outcome).toMatchObject({ kind: "done", replayed: false });
    expect(attempts).toEqual([{ id, isRepeated: true }]);
    void server;
  });

  it("what fails, or is not to be kept, leaves the key free", async () => {
    const idempotency = open().server();
    await expect(idempotency.run(REQUEST, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    const unstored = async () => ({ ...(await answer(1)()), store: false });
    expect(await idempotency.run({ ...REQUEST, body: 2 }, unstored)).toMatchObject({ replayed: false });
    expect(await idempotency.run({ ...REQUEST, body: 3 }, answer(3))).toMatchObject({ replayed: false });
  });

  it("leaves nothing behind, however it ends", async () => {
    const { clock, records, server } = open();
    const idempotency = server();
    await idempotency.run(REQUEST, answer(1));
    await idempotency.run({ ...REQUEST, key: "unkept" }, async () => ({ ...(await answer(1)()), store: false }));
    const places = ["k", "unkept"].flatMap((key) =>
      ["idempotency", "idempotency-lease"].map((space) => ({ space, owner: "id:ada", collection: "make", key })),
    );
    const versions = () => Promise.all(places.map((place) => records.version(place)));
    expect(await versions()).toEqual([2, 0, 0, 0]);
    clock.advance(IDEMPOTENCY_TTL_MS);
    await records.sweepExpired({ limit: 10 });
    expect(await versions()).toEqual([0, 0, 0, 0]);
  });

  /** A process that stood still for longer than its lease, and whose request has meanwhile been carried out by another one. */
  const overtaken = async (stores: boolean) => {
    const { clock, records, server } = open();
    const stopped = { now: () => clock.now(), setTimer: () => ({ cancel() {} }) };
    const late = held();
    const other = createIdempotency({ records, clock: stopped, logger: silent }, { leaseMs: LEASE_MS });
    const running = other.run(REQUEST, late.execute);
    await late.started;
    clock.advance(LEASE_MS);
    const idempotency = server();
    await idempotency.run(REQUEST, async () => ({ ...(await answer(2)()), store: stores }));
    return { idempotency, wakeUp: async () => (late.resolve(), running) };
  };

  it("a process that wakes up too late changes no answer that another has given", async () => {
    const { idempotency, wakeUp } = await overtaken(true);
    await wakeUp();
    expect(await idempotency.run(REQUEST, answer(3))).toMatchObject({ replayed: true, answer: { body: '{"n":2}' } });
  });

  it("a process that wakes up too late leaves alone what was asked under its key meanwhile", async () => {
    const { idempotency, wakeUp } = await overtaken(false);
    const request = { ...REQUEST, body: { a: 2 } };
    const next = held();
    const running = idempotency.run(request, next.execute);
    await next.started;
    await wakeUp();
    expect(await idempotency.run(request, answer(4))).toMatchObject({ kind: "in-flight" });
    next.resolve();
    await running;
    expect(await idempotency.run(request, answer(5))).toMatchObject({ replayed: true, answer: { body: '{"n":1}' } });
  });
});
