import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { Annotation, interrupt, START, StateGraph } from "@langchain/langgraph";
import { ask, steps } from "./graphs.js";
import { execute, harness, named, type Harness, type RunParams } from "./harness.js";

/** A worker that dies at a node: the run is aborted there, nothing is reported, and another attempt follows. */
async function crashAt(node: string, { engine }: Harness, params: RunParams): Promise<void> {
  const abort = new AbortController();
  await execute(
    engine,
    { ...params, streamModes: ["tasks"] },
    {
      signal: abort.signal,
      onFrame: (frame) => {
        const task = frame.data as { name?: string; result?: unknown };
        if (task.name === node && task.result === undefined) abort.abort({ kind: "lease-lost" });
      },
    },
  );
}

const log = Annotation.Root({ log: Annotation<string[]>({ reducer: (a, b) => [...a, ...b], default: () => [] }) });

describe("a second attempt", () => {
  it("runs a node again that was stopped or failed between its update and its edge", async () => {
    let fail = true;
    const ran: string[] = [];
    const graph = new StateGraph(log)
      .addNode("one", () => ({ log: ["one"] }))
      .addNode("two", () => {
        ran.push("two");
        return { log: ["two"] };
      })
      .addEdge(START, "one")
      .addConditionalEdges("one", () => {
        if (fail) throw new Error("no way on");
        return "two";
      })
      .compile();
    const { engine } = await harness({ graph });
    const first = await execute(engine, { graphId: "graph", input: { log: [] } });
    expect(first.outcome).toMatchObject({ kind: "error", hasNext: true });
    fail = false;
    const again = await execute(engine, { graphId: "graph", threadId: first.run.threadId, input: null });
    expect(again.values).toEqual({ log: ["one", "two"] });
    expect(ran).toEqual(["two"]);
  });

  it("continues from the last checkpoint, without the input again", async () => {
    const seen: string[] = [];
    const graph = new StateGraph(log)
      .addNode("one", () => {
        seen.push("one");
        return { log: ["one"] };
      })
      .addNode("two", async () => {
        seen.push("two");
        await new Promise((resolve) => setImmediate(resolve));
        return { log: ["two"] };
      })
      .addEdge(START, "one")
      .addEdge("one", "two")
      .compile();
    const h = await harness({ graph });
    const params = { graphId: "graph", threadId: randomUUID(), runId: randomUUID(), input: { log: ["in"] } };
    await crashAt("two", h, params);
    const second = await execute(h.engine, { ...params, attempt: 2, streamModes: ["updates"] });
    expect(second.values).toEqual({ log: ["in", "one", "two"] });
    expect(named(second, "updates")).toEqual([{ two: { log: ["two"] } }]);
    expect(seen.filter((node) => node === "one")).toHaveLength(1);
  });

  it("starts with the input when nothing was stored, and in a temporary run", async () => {
    const { engine } = await harness({ steps });
    for (const temporary of [false, true]) {
      const run = await execute(engine, { graphId: "steps", input: { topic: "x" }, attempt: 2, temporary });
      expect(run.values).toMatchObject({ log: ["one", "two", "three"] });
    }
  });

  it("does not answer a later interrupt with the resume value of its first attempt", async () => {
    const graph = new StateGraph(log)
      .addNode("first", () => ({ log: [`first ${interrupt<unknown, string>("1?")}`] }))
      .addNode("second", () => ({ log: [`second ${interrupt<unknown, string>("2?")}`] }))
      .addEdge(START, "first")
      .addEdge("first", "second")
      .compile();
    const { engine } = await harness({ graph });
    const threadId = randomUUID();
    await execute(engine, { graphId: "graph", threadId, input: { log: [] } });
    const params = { graphId: "graph", threadId, runId: randomUUID(), command: { resume: "yes" } };
    await execute(engine, params);
    const again = await execute(engine, { ...params, attempt: 2 });
    expect(again.values).toEqual({ log: ["first yes"] });
    expect(again.outcome).toMatchObject({ kind: "success", hasNext: true });
    expect(Object.values(again.interrupts as object)).toMatchObject([[{ value: "2?" }]]);
  });

  it("resumes when the first died before the answer led to a checkpoint", async () => {
    const h = await harness({ ask });
    const threadId = randomUUID();
    await execute(h.engine, { graphId: "ask", threadId, input: { topic: "" } });
    const params = { graphId: "ask", threadId, runId: randomUUID(), command: { resume: "yes" } };
    await crashAt("ask", h, params);
    const again = await execute(h.engine, { ...params, attempt: 2 });
    expect(again.values).toMatchObject({ topic: "yes", log: ["got yes"] });
  });

  it.each([
    { interruptBefore: ["two"] },
    { interruptBefore: "*" as const },
    { interruptAfter: ["one"] },
    { interruptAfter: "*" as const },
  ])("stays at the breakpoint where the first had stopped: %j", async (breakpoints) => {
    const { engine } = await harness({ steps });
    const params = {
      graphId: "steps",
      threadId: randomUUID(),
      runId: randomUUID(),
      input: { topic: "x" },
      ...breakpoints,
    };
    const first = await execute(engine, params);
    const again = await execute(engine, { ...params, attempt: 2 });
    expect(again.outcome).toEqual(first.outcome);
    const rest = await execute(engine, { graphId: "steps", threadId: params.threadId, input: null });
    expect(rest.values).toMatchObject({ log: ["one", "two", "three"] });
  });

  it("does not stop again at a breakpoint that it had been sent past", async () => {
    const h = await harness({ steps });
    const threadId = randomUUID();
    const breakpoints = { interruptBefore: ["two"] };
    await execute(h.engine, { graphId: "steps", threadId, input: { topic: "x" }, ...breakpoints });
    const params = { graphId: "steps", threadId, runId: randomUUID(), input: null, ...breakpoints };
    await crashAt("two", h, params);
    const again = await execute(h.engine, { ...params, attempt: 2 });
    expect(again.values).toMatchObject({ log: ["one", "two", "three"] });
  });

  it("goes on with its fork instead of forking again", async () => {
    const h = await harness({ steps });
    const threadId = randomUUID();
    await execute(h.engine, { graphId: "steps", threadId, input: { topic: "x" } });
    const history = await h.engine.listStates({ graphId: "steps", threadId, config: {}, limit: 10 });
    const checkpointId = history.find(({ next }) => next[0] === "one")?.checkpoint?.checkpointId ?? "";
    const params = { graphId: "steps", threadId, runId: randomUUID(), input: null, checkpoint: { checkpointId } };
    await crashAt("three", h, params);
    const again = await execute(h.engine, { ...params, attempt: 2, streamModes: ["updates"] });
    expect(named(again, "updates")).toMatchObject([{ three: { log: ["three"], topic: "done" } }]);
    expect(again.values).toMatchObject({ log: ["one", "two", "three"] });
  });
});
