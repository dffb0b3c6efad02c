import type { BaseCheckpointSaver } from "@langchain/langgraph-checkpoint";
import { afterEach, describe, expect, test } from "vitest";
import { createMemoryCheckpointer } from "../../src/checkpointers/memory.js";
import { WHOLE_STATE_CHANNEL, WHOLE_STATE_GRAPHS } from "../../src/core/state.js";
import type { Engine } from "../../src/core/engine.js";
import { createEngine } from "../../src/engine/create-engine.js";
import { createGraphRegistry } from "../../src/engine/loading/graph-registry.js";
import { systemClock } from "../../src/runtime/system-clock.js";
import { echo } from "../fixtures/graphs/index.js";

const [graphId = ""] = WHOLE_STATE_GRAPHS;
const logger = { debug() {}, info() {}, warn() {}, error() {} };
const engines: Engine[] = [];

async function open(graphs: Record<string, object>) {
  const checkpointer = createMemoryCheckpointer();
  const engine = createEngine({
    graphs: await createGraphRegistry({ graphs }),
    checkpointer,
    clock: systemClock,
    logger,
    fastPaths: false,
  });
  engines.push(engine);
  return { engine, saver: checkpointer.saver as BaseCheckpointSaver };
}

afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.close();
});

describe("graphs of whole states", () => {
  test("are known and not listed", async () => {
    const { engine } = await open({ echo });
    expect(engine.has(graphId)).toBe(true);
    expect(engine.graphs().map((graph) => graph.graphId)).toEqual(["echo"]);
    expect(engine.has("other")).toBe(false);
  });

  test("read what was put under their channel, key order and all", async () => {
    const { engine, saver } = await open({ echo });
    const state = { b: 1, a: { y: [null, {}], x: "ü" }, big: Number.MAX_SAFE_INTEGER };
    await saver.put(
      { configurable: { thread_id: "t", checkpoint_ns: "" } },
      {
        v: 4,
        id: "1ef4f797-8335-6428-8001-8a1503f9b875",
        ts: "2026-01-01T00:00:00.000Z",
        channel_values: { [WHOLE_STATE_CHANNEL]: state },
        channel_versions: { [WHOLE_STATE_CHANNEL]: 1 },
        versions_seen: {},
      },
      { source: "update", step: 1, parents: {} },
      { [WHOLE_STATE_CHANNEL]: 1 },
    );
    const query = { graphId, threadId: "t", config: {} };
    const read = await engine.getState({ ...query, subgraphs: false });
    expect(read.values).toBe(JSON.stringify(state));
    expect(read.next).toEqual([]);
    const { final } = await engine.updateState({
      ...query,
      update: { values: { only: 1 }, asNode: "state" },
      metadata: {},
    });
    expect(final).toMatchObject({ values: '{"only":1}', hasNext: false });
    expect((await engine.listStates({ ...query, limit: 10 })).map(({ values }) => values)).toEqual([
      '{"only":1}',
      JSON.stringify(state),
    ]);
  });

  test("a graph of the user's with such an id wins", async () => {
    const { engine } = await open({ [graphId]: echo });
    expect(engine.graphs().map((graph) => graph.graphId)).toEqual([graphId]);
    const drawn = JSON.stringify(await engine.drawGraph({ graphId, config: {}, xray: false }));
    expect(drawn).toContain("say");
  });

  test("say what a state is: any object", async () => {
    const { engine } = await open({ echo });
    expect((await engine.schemas({ graphId, config: {} })).graphId).toBe(graphId);
  });
});
