import { describe, expect, it } from "vitest";
import { WriteBehind } from "../../src/engine/execution/write-behind.js";

/** A put that is stored when the test says so. */
function put(name: string, log: string[]) {
  const stored = Promise.withResolvers<void>();
  const store = async (): Promise<void> => {
    log.push(`${name} begins`);
    await stored.promise;
    log.push(`${name} stored`);
  };
  return { store, done: () => stored.resolve(), fail: (error: Error) => stored.reject(error) };
}
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("WriteBehind", () => {
  it.each([{ inOrder: true }, { inOrder: false }])(
    "lets a run be one superstep ahead, not two (%o)",
    async (options) => {
      const log: string[] = [];
      const behind = new WriteBehind(options);
      const [input, first, second, third] = ["input", "first", "second", "third"].map((name) => put(name, log)) as [
        ReturnType<typeof put>,
        ReturnType<typeof put>,
        ReturnType<typeof put>,
        ReturnType<typeof put>,
      ];
      // No node has run for either.
      await behind.put("", input.store, true);
      await behind.put("", first.store, false);
      let ahead = false;
      const waiting = behind.put("", second.store, false).then(() => (ahead = true));
      input.done();
      await turn();
      expect(ahead).toBe(false);
      first.done();
      await waiting;
      expect(log).toContain("first stored");
      expect(log).not.toContain("second stored");
      const last = behind.put("", third.store, false);
      second.done();
      await last;
      let drained = false;
      const draining = behind.drained().then(() => (drained = true));
      await turn();
      expect(drained).toBe(false);
      third.done();
      await draining;
      const isGathered = log.indexOf("second begins") < log.indexOf("first stored");
      expect(isGathered).toBe(options.inOrder);
    },
  );

  it("does not let namespaces wait for one another", async () => {
    const log: string[] = [];
    const behind = new WriteBehind({ inOrder: true });
    const [outer, inner] = [put("outer", log), put("inner", log)];
    await behind.put("", outer.store, false);
    await behind.put("sub:1", inner.store, false);
    expect(log).toEqual(["outer begins", "inner begins"]);
    outer.done();
    inner.done();
    await behind.drained();
  });

  it.each([{ inOrder: true }, { inOrder: false }])(
    "tells of a failure with the next write, and at the end (%o)",
    async (options) => {
      const log: string[] = [];
      const behind = new WriteBehind(options);
      const [first, second] = [put("first", log), put("second", log)];
      await behind.put("", first.store, false);
      const next = behind.put("", second.store, false);
      first.fail(new Error("disk full"));
      second.done();
      await expect(next).rejects.toThrow("disk full");
      expect(() => behind.add(Promise.resolve())).toThrow("disk full");
      await expect(behind.drained()).rejects.toThrow("disk full");
      expect(log.includes("second begins")).toBe(options.inOrder);
    },
  );

  it("handles what fails of writes that come after a failure", async () => {
    const behind = new WriteBehind({ inOrder: true });
    behind.add(Promise.reject(new Error("first")));
    await turn();
    const unhandled: unknown[] = [];
    const note = (reason: unknown): void => void unhandled.push(reason);
    process.on("unhandledRejection", note);
    expect(() => behind.add(Promise.reject(new Error("second")))).toThrow("first");
    await turn();
    process.off("unhandledRejection", note);
    expect(unhandled).toEqual([]);
    await expect(behind.drained()).rejects.toThrow("first");
  });
});
