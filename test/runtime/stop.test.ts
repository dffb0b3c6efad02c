import { expect, it } from "vitest";
import { delegating } from "../../src/core/delegating.js";
import type { MetadataStore } from "../../src/core/metadata-store.js";
import { never, succeed } from "../../src/testing/scripted-engine.js";
import { openRuntime, turns } from "./harness.js";

/** A store whose calls never come back once it is away: the database behind a half-open connection. */
function hanging(isAway: () => boolean): (store: MetadataStore) => MetadataStore {
  const wrap = <T extends object>(target: T): T =>
    new Proxy(target, {
      get(object, key): unknown {
        const value: unknown = Reflect.get(object, key);
        if (typeof value === "object" && value !== null) return wrap(value);
        if (typeof value !== "function") return value;
        return (...args: unknown[]): unknown =>
          isAway() ? new Promise(() => undefined) : (Reflect.apply(value, object, args) as unknown);
      },
    });
  return wrap;
}

it("ends a stop although the store hangs: runs are left to their leases", async () => {
  let isAway = false;
  const test = await openRuntime({ scripts: { stuck: never(), quick: succeed() }, wrapStore: hanging(() => isAway) });
  await test.run("stuck");
  await turns();
  isAway = true;
  // A poll, a heartbeat and a sweep are under way and never end.
  test.clock.advance(11_000);
  await turns();
  const startedAt = test.clock.now();
  let stopped = false;
  void test.runtime.stop({ drainMs: 2_000 }).then(() => (stopped = true));
  await test.until(() => stopped, "the stop", 200);
  expect(test.clock.now() - startedAt).toBeLessThan(25_000);
  expect(test.log.map(({ message }) => message)).toEqual(
    expect.arrayContaining(["runs could not be given back: others take them over when their leases expire"]),
  );
});

it("waits for nothing longer than it must when the store answers", async () => {
  const test = await openRuntime({ scripts: { stuck: never() } });
  const run = await test.run("stuck");
  await turns();
  const startedAt = test.clock.now();
  let stopped = false;
  void test.runtime.stop({ drainMs: 100 }).then(() => (stopped = true));
  await test.until(() => stopped, "the stop", 10);
  expect(test.clock.now() - startedAt).toBeLessThan(200);
  expect(await test.row(run)).toMatchObject({ status: "pending", attempt: 0 });
});

it("tells other processes of a run that was handed back", async () => {
  const announced: string[] = [];
  const test = await openRuntime({
    scripts: { stuck: never() },
    dispatcher: (real) =>
      delegating(real, {
        announce(threadId, options) {
          announced.push(threadId);
          real.announce(threadId, options);
        },
      }),
  });
  const run = await test.run("stuck");
  await turns();
  expect(announced).toEqual([]);
  let stopped = false;
  void test.runtime.stop({ drainMs: 0 }).then(() => (stopped = true));
  await test.until(() => stopped, "the stop", 10);
  expect(announced).toEqual([run.threadId]);
});
