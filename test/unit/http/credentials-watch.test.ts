import { describe, expect, it } from "vitest";
import { AuthRefusal, type Caller } from "../../../src/core/auth.js";
import { HeddleError } from "../../../src/core/errors.js";
import { type CredentialsEnd, CredentialsWatch } from "../../../src/http/credentials-watch.js";
import { fakeClock } from "../../../src/testing/fake-clock.js";

const EVERY_MS = 30_000;
const ANN: Caller = { identity: "ann", permissions: ["threads:read"], user: { identity: "ann" } };

function watch(caller: Caller = ANN) {
  const clock = fakeClock();
  const ends: CredentialsEnd[] = [];
  const faults: unknown[] = [];
  const state = { asked: 0, answer: (): Caller | Promise<Caller> => ANN };
  const watched = new CredentialsWatch({
    caller,
    everyMs: EVERY_MS,
    clock,
    reauthenticate() {
      state.asked += 1;
      return state.answer();
    },
    onEnd: (end) => ends.push(end),
    onFault: (error) => faults.push(error),
  });
  const advance = async (ms: number) => {
    clock.advance(ms);
    // What was asked is answered within a few turns of the loop.
    for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
  };
  return { watched, clock, ends, faults, state, advance };
}

const refuse = (error: Error) => (): never => {
  throw error;
};

describe("the credentials of an open stream", () => {
  it("are looked at again and again while they are good", async () => {
    const { state, ends, advance, watched, clock } = watch();
    for (let n = 1; n <= 5; n += 1) {
      await advance(EVERY_MS);
      expect(state.asked).toBe(n);
    }
    expect(ends).toEqual([]);
    watched.close();
    expect(clock.pendingTimers).toBe(0);
    await advance(EVERY_MS * 2);
    expect(state.asked).toBe(5);
  });

  it.each([
    [new HeddleError("UNAUTHENTICATED"), 401],
    [new HeddleError("FORBIDDEN"), 403],
    [new AuthRefusal({ status: 401 }), 401],
    [new AuthRefusal({ status: 418 }), 418],
  ])("are over when they are refused: %s", async (error, status) => {
    const { state, ends, advance, clock, watched } = watch();
    state.answer = refuse(error);
    await advance(EVERY_MS - 1);
    expect(ends).toEqual([]);
    await advance(1);
    expect(ends).toEqual([{ kind: "refused", status }]);
    expect(clock.pendingTimers).toBe(0);
    expect(await watched.check()).toBe(false);
  });

  it("are over when their time is, and no one is asked for it", async () => {
    const { state, ends, advance } = watch({ ...ANN, validUntil: fakeClock().now() + 10_000 });
    await advance(9_999);
    expect(ends).toEqual([]);
    await advance(1);
    expect(ends).toEqual([{ kind: "expired" }]);
    expect(state.asked).toBe(0);
  });

  it("live as long as the last answer says", async () => {
    const start = fakeClock().now();
    const { state, ends, advance } = watch({ ...ANN, validUntil: start + EVERY_MS + 10 });
    state.answer = () => ({ ...ANN, validUntil: start + 2 * EVERY_MS + 10 });
    await advance(EVERY_MS);
    await advance(EVERY_MS);
    expect(ends).toEqual([]);
    await advance(10);
    expect(ends).toEqual([{ kind: "expired" }]);
  });

  it.each([
    { ...ANN, identity: "bob" },
    { ...ANN, permissions: [] },
    { ...ANN, permissions: ["threads:*"] },
  ])("are over when they are somebody else's, or allow something else: %j", async (fresh) => {
    const { state, ends, advance } = watch();
    state.answer = () => fresh;
    await advance(EVERY_MS);
    expect(ends).toEqual([{ kind: "changed" }]);
  });

  it("bring what the user is by now", async () => {
    const { state, advance, watched, ends } = watch();
    state.answer = () => ({ ...ANN, user: { identity: "ann", team: "b" } });
    await advance(EVERY_MS);
    expect(watched.caller.user).toEqual({ identity: "ann", team: "b" });
    expect(ends).toEqual([]);
  });

  it("survive that nobody can be asked, for three intervals", async () => {
    const { state, ends, faults, advance } = watch();
    const busy = new AuthRefusal({ status: 429 });
    const errors = [new HeddleError("STORAGE_UNAVAILABLE"), busy, new Error("no answer")];
    for (const error of errors.slice(0, 2)) {
      state.answer = refuse(error);
      await advance(EVERY_MS);
      expect(ends).toEqual([]);
    }
    state.answer = () => ANN;
    await advance(EVERY_MS);
    for (const error of errors) {
      expect(ends).toEqual([]);
      state.answer = refuse(error);
      await advance(EVERY_MS);
    }
    expect(ends).toEqual([{ kind: "unknown" }]);
    expect(faults).toEqual([...errors.slice(0, 2), ...errors]);
  });

  it("are not waited for longer than ten seconds, and end on time also then", async () => {
    const { state, ends, faults, advance } = watch({ ...ANN, validUntil: fakeClock().now() + 45_000 });
    state.answer = () => new Promise<never>(() => {});
    await advance(EVERY_MS + 10_000);
    expect(faults).toEqual([new Error("authenticate has not answered within 10000 ms")]);
    await advance(5_000);
    expect(ends).toEqual([{ kind: "expired" }]);
  });

  it("are looked at before a command, once for those that come together, and at most once a second", async () => {
    const { state, advance, watched, ends } = watch();
    expect(await watched.check()).toBe(true);
    expect(state.asked).toBe(0);
    await advance(1_000);
    expect(await Promise.all([watched.check(), watched.check(), watched.check()])).toEqual([true, true, true]);
    expect(state.asked).toBe(1);
    await advance(999);
    await watched.check();
    expect(state.asked).toBe(1);
    await advance(1);
    state.answer = refuse(new Error("down"));
    await expect(watched.check()).rejects.toThrow("down");
    state.answer = refuse(new HeddleError("UNAUTHENTICATED"));
    expect(await watched.check()).toBe(false);
    expect(ends).toEqual([{ kind: "refused", status: 401 }]);
  });
});
