import { MemorySaver, type BaseCheckpointSaver } from "@langchain/langgraph-checkpoint";
import { describe, expect, it } from "vitest";
import { adoptSaver } from "../../../src/checkpointers/adopt.js";
import { HeddleMemorySaver } from "../../../src/checkpointers/memory.js";
import { chainOf, listOf, read, threadConfig } from "../../../src/testing/checkpointer/fixture.js";

describe("adoptSaver", () => {
  it("takes any object with a saver's methods, and refuses others by name", () => {
    const saver = new MemorySaver();
    expect(adoptSaver(saver)).toMatchObject({ saver, durable: false });
    expect(adoptSaver(saver, { durable: true }).durable).toBe(true);
    expect(adoptSaver(new HeddleMemorySaver()).durable).toBe(true);
    expect(() => adoptSaver({ getTuple() {} })).toThrow(/lacks list, put, putWrites, deleteThread, getNextVersion/);
  });

  for (const make of [() => new MemorySaver(), () => new HeddleMemorySaver()]) {
    const saver: BaseCheckpointSaver = make();
    const checkpointer = adoptSaver(saver);

    it(`copies a thread of ${saver.constructor.name} with namespaces, writes and ids`, async () => {
      const root = chainOf(saver, "from");
      const child = chainOf(saver, "from", "child");
      await root.put({ a: 1 }, { metadata: { thread_id: "from", nested: { ids: ["from", "from x"] } } });
      await saver.putWrites(root.config(), [["x", 1], ["y", 2]], "task"); // prettier-ignore
      await child.put({ c: 1 });
      await root.put({ b: 2 });
      await root.put({ b: 3 }, { parent: 0 });
      await chainOf(saver, "to").put({ replaced: true });
      await checkpointer.copyThread({ fromThreadId: "from", toThreadId: "to" });
      await checkpointer.copyThread({ fromThreadId: "nobody", toThreadId: "to" });
      const shape = async (threadId: string) =>
        (await listOf(saver, threadConfig(threadId))).map(({ checkpoint, pendingWrites, parentConfig, config }) => ({
          checkpoint,
          pendingWrites,
          ns: config.configurable?.["checkpoint_ns"] as unknown,
          parent: parentConfig?.configurable?.["checkpoint_id"] as unknown,
        }));
      expect(await shape("to")).toEqual(await shape("from"));
      const copied = await read(saver, { configurable: { thread_id: "to", checkpoint_id: root.ids[0] } });
      expect(copied.metadata).toMatchObject({ thread_id: "to", nested: { ids: ["to", "from x"] } });
    });

    it(`deletes the only run of a thread of ${saver.constructor.name}, and refuses to lose the others`, async () => {
      const chain = chainOf(saver, "runs");
      await chain.put({ a: 1 }, { metadata: { run_id: "run-1" } });
      await chain.put({ a: 2 }, { metadata: { run_id: "run-2" } });
      const params = { threadId: "runs", runId: "run-2" };
      await expect(checkpointer.deleteRun(params)).rejects.toMatchObject({ code: "UNSUPPORTED_OPTION" });
      expect(await listOf(saver, threadConfig("runs"))).toHaveLength(2);
      await checkpointer.deleteRun({ ...params, runId: "none" });
      const only = chainOf(saver, "only");
      await only.put({ a: 1 }, { metadata: { run_id: "run-1" } });
      await checkpointer.deleteRun({ threadId: "only", runId: "run-1" });
      expect(await listOf(saver, threadConfig("only"))).toEqual([]);
    });
  }
});
