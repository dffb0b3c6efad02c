import { describe, expect, it } from "vitest";
import { asJsonText } from "../../../src/core/json.js";
import { noteThreadRecords, removeThreadRecords } from "../../../src/core/thread-records.js";
import { createMemoryRecords } from "../../../src/stores/memory/records.js";
import { fakeClock } from "../../../src/testing/fake-clock.js";

const THREAD = "0199C0DE-0000-7000-8000-000000000001";
const value = asJsonText("{}");

describe("records of a thread", () => {
  it("go with it, of all who noted theirs, and nothing else does", async () => {
    const records = createMemoryRecords(fakeClock());
    const write = (space: string, owner: string, collection: string, key: string, task?: string) =>
      records.write({ space, owner, collection, key, value, ...(task !== undefined && { labels: { task } }) });
    for (const owner of ["ann", "bob"]) {
      for (let i = 0; i < 250; i += 1) await write("labelled", owner, "all", `mine ${i}`, "t");
      await write("labelled", owner, "all", "other", "u");
      await write("whole", owner, "t", "a");
      await write("whole", owner, "u", "a");
      // Repeated: there is one note of each.
      for (const threadId of [THREAD, THREAD.toLowerCase()]) {
        await noteThreadRecords(records, threadId, [
          { space: "labelled", owner, collection: "all", labels: { task: "t" } },
          { space: "whole", owner, collection: "t" },
        ]);
      }
    }
    // Of the same names, and of somebody who noted nothing.
    await write("labelled", "eve", "all", "mine", "t");
    await write("whole", "eve", "t", "a");
    expect(await records.count({ space: "thread-records", owner: "" })).toBe(4);

    await removeThreadRecords(records, THREAD.toLowerCase());

    for (const owner of ["ann", "bob"]) {
      const left = await records.list({
        space: "labelled",
        owner,
        order: "key",
        direction: "asc",
        limit: 10,
        offset: 0,
      });
      expect(left.map(({ key }) => key)).toEqual(["other"]);
      expect(await records.count({ space: "whole", owner })).toBe(1);
    }
    expect(await records.count({ space: "labelled", owner: "eve" })).toBe(1);
    expect(await records.count({ space: "whole", owner: "eve" })).toBe(1);
    expect(await records.count({ space: "thread-records", owner: "" })).toBe(0);
    await removeThreadRecords(records, THREAD);
  });
});
