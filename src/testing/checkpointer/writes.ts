import { ERROR, INTERRUPT } from "@langchain/langgraph-checkpoint";
import { randomUUID } from "node:crypto";
import { chainOf, read, type CheckpointerSuite, type WithCheckpointer } from "./fixture.js";

/** Pending writes. */
export function writeCases(suite: CheckpointerSuite, withSaver: WithCheckpointer): void {
  const { it, expect } = suite.vitest;

  it(
    "returns writes by task path, then task, then position; paths by code point",
    withSaver(async ({ saver }) => {
      const chain = chainOf(saver);
      await chain.put({});
      const paths = ["~b", "~a, 0000000010", "~a, 0000000002", "~\u{1f600}", "~\uffee", ""];
      for (const [at, path] of paths.entries()) {
        await saver.putWrites(chain.config(), [["x", at], ["y", at]], `task-${9 - at}`, path); // prettier-ignore
      }
      await saver.putWrites(chain.config(), [["x", "same path"]], "task-0", "~b");
      const { pendingWrites } = await read(saver, chain.config());
      expect(pendingWrites?.map(([, channel, value]) => `${channel} ${String(value)}`)).toEqual(
        "x 5, y 5, x 2, y 2, x 1, y 1, x same path, x 0, y 0, x 4, y 4, x 3, y 3".split(", "),
      );
    }),
  );

  it(
    "keeps the first of repeated writes, and the last of errors and interrupts",
    withSaver(async ({ saver }) => {
      const chain = chainOf(saver);
      await chain.put({});
      await saver.putWrites(chain.config(), [["a", 1], [ERROR, "first"], [INTERRUPT, [1]]], "task"); // prettier-ignore
      await saver.putWrites(chain.config(), [["a", 2], [ERROR, "second"], ["b", 3]], "task"); // prettier-ignore
      const { pendingWrites } = await read(saver, chain.config());
      expect(new Map(pendingWrites?.map(([, channel, value]) => [channel, value]))).toEqual(
        new Map<string, unknown>([["a", 1], [ERROR, "second"], [INTERRUPT, [1]], ["b", 3]]), // prettier-ignore
      );
      expect(pendingWrites).toHaveLength(4);
    }),
  );

  it(
    "keeps writes that arrive before their checkpoint",
    withSaver(async ({ saver }) => {
      const chain = chainOf(saver);
      await chain.put({});
      const { checkpoint, metadata } = await read(saver, chain.config());
      const id = `${checkpoint.id}z`;
      const early = { configurable: { ...chain.config().configurable, checkpoint_id: id } };
      await saver.putWrites(early, [["a", 1]], "task");
      expect(await saver.getTuple(early)).toBeUndefined();
      await saver.put(chain.config(), { ...checkpoint, id }, metadata ?? ({} as never), {});
      expect((await read(saver, early)).pendingWrites).toEqual([["task", "a", 1]]);
    }),
  );

  it(
    "refuses what lacks an address, naming the field",
    withSaver(async ({ saver }) => {
      const chain = chainOf(saver);
      await chain.put({});
      const { checkpoint } = await read(saver, chain.config());
      await expect(saver.put({ configurable: {} }, checkpoint, {} as never, {})).rejects.toThrow(/thread_id/);
      await expect(saver.put({ configurable: { thread_id: 5 } }, checkpoint, {} as never, {})).rejects.toThrow(
        /thread_id/,
      );
      await expect(saver.putWrites({ configurable: { thread_id: randomUUID() } }, [["a", 1]], "t")).rejects.toThrow(
        /checkpoint_id/,
      );
    }),
  );

  it(
    "takes many tasks of one superstep at once",
    withSaver(async ({ saver }) => {
      const chain = chainOf(saver);
      await chain.put({});
      const tasks = Array.from({ length: 300 }, (_, i) => `task-${String(i).padStart(3, "0")}`);
      await Promise.all(tasks.map((task) => saver.putWrites(chain.config(), [["a", task]], task)));
      const { pendingWrites } = await read(saver, chain.config());
      expect(pendingWrites?.map(([task]) => task)).toEqual(tasks);
    }),
  );
}
