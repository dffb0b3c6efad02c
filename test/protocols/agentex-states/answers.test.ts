import { describe, expect, it } from "vitest";
import { ANONYMOUS } from "../../../src/core/auth.js";
import { asJsonText } from "../../../src/core/json.js";
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
