import { describe, expect, it } from "vitest";
import { ANONYMOUS } from "../../../src/core/auth.js";
import { asJsonText } from "../../../src/core/json.js";
import { blobKey } from "../../../src/protocols/agentex-states/checkpoint-records.js";
import { createCheckpoints } from "../../../src/protocols/agentex-states/checkpoints.js";
import { listStates } from "../../../src/protocols/agentex-states/state-order.js";
import { createStates, STATES_SPACE } from "../../../src/protocols/agentex-states/states.js";
import type { TaskAccess } from "../../../src/protocols/agentex-states/task-access.js";
import { createMemoryRecords } from "../../../src/stores/memory/records.js";
import { fakeClock } from "../../../src/testing/fake-clock.js";

/** Nobody is kept from anything. */
const tasks: TaskAccess = {
  sees: async () => true,
  mayUpdate: async () => {},
  reachItem: async () => {},
  search: async () => {},
  noteRecords: async () => {},
};

const large = asJsonText(JSON.stringify({ text: "x".repeat(1_000) }));

describe("answers have a bound", () => {
  it("a list of checkpoints over it is refused with the way out, which works", async () => {
    const records = createMemoryRecords(fakeClock());
    const checkpoints = createCheckpoints({ records, tasks, maxAnswerChars: 25_000 });
    const id = (n: number) => `id-${String(n).padStart(3, "0")}`;
    for (let n = 0; n < 60; n += 1) {
      const row = { threadId: "t", namespace: "", checkpointId: id(n), parentId: null, metadata: asJsonText("{}") };
      await checkpoints.put(ANONYMOUS, { ...row, checkpoint: large, blobs: [] });
    }
    const listing = { threadId: "t", namespace: null, before: null, metadata: null };
    await expect(checkpoints.list(ANONYMOUS, { ...listing, limit: 100 })).rejects.toMatchObject({
      code: "INVALID_REQUEST",
      message: expect.stringContaining("before_checkpoint_id") as string,
    });
    const seen: string[] = [];
    for (let before: string | null = null; ;) {
      const rows = await checkpoints.list(ANONYMOUS, { ...listing, before, limit: 20 });
      seen.push(...rows.map(({ checkpointId }) => checkpointId));
      before = rows.at(-1)?.checkpointId ?? null;
      if (rows.length < 20) break;
    }
    expect(seen).toEqual(Array.from({ length: 60 }, (_, n) => id(59 - n)));
  });

  it("a checkpoint that could not be read again is refused, and what writes add to it is refused when it is read", async () => {
    const records = createMemoryRecords(fakeClock());
    const checkpoints = createCheckpoints({ records, tasks, maxTupleChars: 5_000 });
    const bytes = "A".repeat(1_000);
    const versions = (n: number) => Object.fromEntries(Array.from({ length: n }, (_, at) => [`c${at}`, "1"]));
    const put = (checkpointId: string, blobs: number, named = blobs) =>
      checkpoints.put(ANONYMOUS, {
        threadId: "t",
        namespace: "",
        checkpointId,
        parentId: null,
        metadata: asJsonText("{}"),
        checkpoint: asJsonText(JSON.stringify({ channel_versions: versions(named) })),
        blobs: Array.from({ length: blobs }, (_, at) => ({ channel: `c${at}`, version: "1", type: "x", blob: bytes })),
      });
    const tuple = (checkpointId: string) =>
      checkpoints.getTuple(ANONYMOUS, { threadId: "t", namespace: "", checkpointId });
    const tooLarge = {
      code: "PAYLOAD_TOO_LARGE",
      message: expect.stringContaining("keep less in the graph's state") as string,
    };
    await expect(put("1", 5)).rejects.toMatchObject(tooLarge);
    expect(await tuple("1")).toBeNull();
    expect(await records.count({ space: "agentex-blobs", owner: "" })).toBe(0);

    await put("2", 3);
    expect((await tuple("2"))?.blobs).toHaveLength(3);
    const writes = (taskId: string) =>
      checkpoints.putWrites(ANONYMOUS, {
        threadId: "t",
        namespace: "",
        checkpointId: "2",
        upsert: false,
        writes: [{ taskId, taskPath: "", idx: 0, channel: "c", type: "x", blob: bytes }],
      });
    await writes("a");
    expect((await tuple("2"))?.writes).toHaveLength(1);
    await writes("b");
    await expect(tuple("2")).rejects.toMatchObject(tooLarge);
    // As much in blobs, which other checkpoints brought.
    for (let at = 0; at < 6; at += 1) {
      const value = asJsonText(JSON.stringify({ channel: `d${at}`, version: "1", type: "x", blob: bytes }));
      await records.write({ ...blobKey({ owner: "", threadId: "t" }, "", { channel: `d${at}`, version: "1" }), value });
    }
    const named = Object.fromEntries(Array.from({ length: 6 }, (_, at) => [`d${at}`, "1"]));
    const row = { threadId: "t", namespace: "", checkpointId: "3", parentId: null, metadata: asJsonText("{}") };
    const checkpoint = asJsonText(JSON.stringify({ channel_versions: named }));
    await checkpoints.put(ANONYMOUS, { ...row, checkpoint, blobs: [] });
    await expect(tuple("3")).rejects.toMatchObject(tooLarge);
    // It is still listed, and can go.
    const listing = { threadId: "t", namespace: null, before: null, metadata: null, limit: 10 };
    expect((await checkpoints.list(ANONYMOUS, listing)).map(({ checkpointId }) => checkpointId)).toEqual(["3", "2"]);
  });

  it("a checkpoint that is put again is written at the second try, however many blobs it has", async () => {
    const records = createMemoryRecords(fakeClock());
    const checkpoints = createCheckpoints({ records, tasks });
    const blobs = (count: number) =>
      Array.from({ length: count }, (_, at) => ({ channel: `c${at}`, version: "1", type: "x", blob: "AAAA" }));
    const row = { threadId: "t", namespace: "", checkpointId: "1", parentId: null, metadata: asJsonText("{}") };
    const put = (count: number) => checkpoints.put(ANONYMOUS, { ...row, checkpoint: large, blobs: blobs(count) });
    await put(100);
    let tries = 0;
    const { writeAll } = records;
    records.writeAll = (writes) => {
      tries += 1;
      return writeAll(writes);
    };
    await put(102);
    expect(tries).toBe(2);
    expect(await records.count({ space: "agentex-blobs", owner: "" })).toBe(102);
  });

  it("the writes of a checkpoint are read a few at a time, all of them", async () => {
    const records = createMemoryRecords(fakeClock());
    const checkpoints = createCheckpoints({ records, tasks });
    const at = { threadId: "t", namespace: "", checkpointId: "1" };
    const row = { ...at, parentId: null, metadata: asJsonText("{}"), checkpoint: asJsonText("{}") };
    await checkpoints.put(ANONYMOUS, { ...row, blobs: [] });
    const ids = Array.from({ length: 250 }, (_, n) => `task-${String(n).padStart(3, "0")}`);
    for (const taskId of ids) {
      const write = { taskId, taskPath: "", idx: 0, channel: "c", type: "x", blob: "A".repeat(400_000) };
      await checkpoints.putWrites(ANONYMOUS, { ...at, upsert: false, writes: [write] });
    }
    let largest = 0;
    const { list } = records;
    records.list = async (query) => {
      const found = await list(query);
      largest = Math.max(
        largest,
        found.reduce((sum, { value }) => sum + value.length, 0),
      );
      return found;
    };
    const found = await checkpoints.getTuple(ANONYMOUS, at);
    expect(found?.writes.map(({ taskId }) => taskId)).toEqual(ids);
    expect(largest).toBeLessThan(20 * 1024 * 1024);
  });

  it.each([null, "created_at", "updated_at", "id", "agent_id", "state"] as const)(
    "a page of states over it is refused, by %s, and one below it is whole",
    async (orderBy) => {
      const records = createMemoryRecords(fakeClock());
      const states = createStates({ records, tasks });
      const ids: string[] = [];
      for (let n = 0; n < 40; n += 1) {
        ids.push((await states.create(ANONYMOUS, { taskId: "t", agentId: "a", state: large })).key);
      }
      const place = { space: STATES_SPACE, owner: "", collection: "states" };
      const listing = { limit: 40, offset: 0, orderBy, direction: "asc" } as const;
      await expect(listStates(records, place, listing, 30_000)).rejects.toMatchObject({
        code: "INVALID_REQUEST",
        message: expect.stringContaining("page_number") as string,
      });
      const whole = await listStates(records, place, listing, 60_000);
      expect(whole.map(({ key }) => key).sort()).toEqual(ids.sort());
    },
  );
});
