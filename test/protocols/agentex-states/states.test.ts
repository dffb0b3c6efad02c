import { describe, expect, it } from "vitest";
import { ANONYMOUS } from "../../../src/core/auth.js";
import { asJsonText } from "../../../src/core/json.js";
import { listStates, MAX_SORTED } from "../../../src/protocols/agentex-states/state-order.js";
import { createStates } from "../../../src/protocols/agentex-states/states.js";
import type { TaskAccess } from "../../../src/protocols/agentex-states/task-access.js";
import type { StateListing } from "../../../src/protocols/agentex-states/wire.js";
import { createMemoryRecords } from "../../../src/stores/memory/records.js";
import { fakeClock } from "../../../src/testing/fake-clock.js";

/** Nobody is kept from anything. */
const open: TaskAccess = {
  sees: async () => true,
  mayUpdate: async () => {},
  reachItem: async () => {},
  search: async () => {},
  noteRecords: async () => {},
};

function setUp() {
  const clock = fakeClock();
  const records = createMemoryRecords(clock);
  return { clock, records, states: createStates({ records, tasks: open }) };
}

const all: StateListing = { limit: 50, offset: 0, orderBy: null, direction: "desc" };
const state = asJsonText("{}");

describe("order of states", () => {
  it("has the smaller id first among states of one time, in both directions, also where a page cuts them", async () => {
    const { clock, records, states } = setUp();
    const rows: { readonly id: string; readonly at: number }[] = [];
    for (const count of [3, 1, 30, 2, 25]) {
      for (let i = 0; i < count; i += 1) {
        const { key, createdAt } = await states.create(ANONYMOUS, { taskId: "t", agentId: "a", state });
        rows.push({ id: key, at: createdAt });
      }
      clock.advance(1);
    }
    for (const orderBy of ["created_at", "updated_at"] as const) {
      for (const direction of ["asc", "desc"] as const) {
        const turn = direction === "asc" ? 1 : -1;
        const expected = rows.toSorted((a, b) => turn * (a.at - b.at) || (a.id < b.id ? -1 : 1)).map(({ id }) => id);
        for (const limit of [1, 4, 50]) {
          const paged: string[] = [];
          for (let offset = 0; offset < rows.length; offset += limit) {
            const page = await states.list(ANONYMOUS, { ...all, orderBy, direction, limit, offset });
            paged.push(...page.map(({ key }) => key));
          }
          expect(paged).toEqual(expected);
          expect(await states.list(ANONYMOUS, { ...all, orderBy, direction, limit, offset: rows.length })).toEqual([]);
        }
      }
    }
    expect(await records.count({ space: "agentex-states", owner: "" })).toBe(61);
  });

  it("orders by task, agent and text, with filters", async () => {
    const { states } = setUp();
    for (const [taskId, agentId, text] of [
      ["b", "y", '{"n":2}'],
      ["a", "x", '{"n":3}'],
      ["b", "x", '{"n":1}'],
    ] as const) {
      await states.create(ANONYMOUS, { taskId, agentId, state: asJsonText(text) });
    }
    const listed = async (listing: Partial<StateListing>) =>
      (await states.list(ANONYMOUS, { ...all, ...listing })).map(({ value }) => (JSON.parse(value) as { n: number }).n);
    expect(await listed({ orderBy: "task_id", direction: "asc" })).toEqual([3, 2, 1]);
    expect(await listed({ orderBy: "task_id", direction: "desc" })).toEqual([2, 1, 3]);
    expect(await listed({ orderBy: "agent_id", direction: "desc" })).toEqual([2, 3, 1]);
    expect(await listed({ orderBy: "state", direction: "asc" })).toEqual([1, 2, 3]);
    expect(await listed({ orderBy: "state", direction: "desc", limit: 1, offset: 1 })).toEqual([2]);
    expect(await listed({ orderBy: "task_id", direction: "desc", taskId: "b" })).toEqual([2, 1]);
    expect(await listed({ orderBy: "agent_id", direction: "asc", taskId: "b" })).toEqual([1, 2]);
    expect(await listed({ orderBy: "id", direction: "asc" })).toEqual([2, 3, 1]);
    expect(await listed({ orderBy: "id", direction: "desc" })).toEqual([1, 3, 2]);
  });

  it("does not sort more than it can, and says what to do", async () => {
    const { records, states } = setUp();
    for (let i = 0; i <= MAX_SORTED; i += 1) {
      await states.create(ANONYMOUS, { taskId: i === 0 ? "one" : "many", agentId: "a", state });
    }
    const place = { space: "agentex-states", owner: "", collection: "states" };
    const byTask = { ...all, orderBy: "task_id", direction: "desc" } as const;
    await expect(listStates(records, place, byTask)).rejects.toMatchObject({
      code: "INVALID_REQUEST",
      message: expect.stringMatching(/order_by: at most 1000 .* created_at, updated_at or id, or filter/) as string,
    });
    // One less is enough.
    const agent = await states.list(ANONYMOUS, { ...byTask, taskId: "one", orderBy: "state" });
    expect(agent).toHaveLength(1);
    expect(await states.list(ANONYMOUS, { ...byTask, taskId: "many", orderBy: "state", offset: 990 })).toHaveLength(10);
  });
});

describe("changes of a state at once", () => {
  it("are all made, and one that comes after a deletion finds nothing", async () => {
    const { states } = setUp();
    const { key } = await states.create(ANONYMOUS, { taskId: "t", agentId: "a", state });
    const texts = Array.from({ length: 30 }, (_, i) => asJsonText(`{"a":${i},"b":${i}}`));
    const written = await Promise.all(texts.map((text) => states.update(ANONYMOUS, key, text)));
    expect(written.map(({ value }) => value)).toEqual(texts);
    expect(new Set(written.map(({ version }) => version)).size).toBe(30);
    expect(texts).toContain((await states.retrieve(ANONYMOUS, key)).value);
    await states.delete(ANONYMOUS, key);
    for (const late of [
      states.update(ANONYMOUS, key, state),
      states.delete(ANONYMOUS, key),
      states.retrieve(ANONYMOUS, key),
    ]) {
      await expect(late).rejects.toMatchObject({ code: "NOT_FOUND", message: `Item with id '${key}' does not exist.` });
    }
  });
});
