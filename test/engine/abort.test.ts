import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Annotation, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { InMemoryCache } from "@langchain/langgraph-checkpoint";
import { randomUUID } from "node:crypto";
import { hello, stubborn } from "./graphs.js";
import { claimed, execute, harness } from "./harness.js";

const unhandled: unknown[] = [];
const note = (reason: unknown): void => void unhandled.push(reason);
beforeAll(() => void process.on("unhandledRejection", note));
afterAll(() => {
  process.off("unhandledRejection", note);
});

const cancelled = { kind: "cancel", action: "interrupt" };
const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

function gate<T = void>() {
  let open: (value: T) => void = () => {};
  let fail: (error: unknown) => void = () => {};
  const promise = new Promise<T>((resolve, reject) => {
    open = resolve;
    fail = reject;
  });
  return { promise, open, fail };
}

describe("abort", () => {
  it("ends a run whose graph takes no notice, tells the node, and lets it write nothing more", async () => {
    const until = gate();
    let nodeSignal: AbortSignal | undefined;
    const started = gate();
    const graph = stubborn(until.promise, (signal) => {
      nodeSignal = signal;
      started.open();
    });
    const { engine, saver } = await harness({ stubborn: graph });
    const abort = new AbortController();
    const running = execute(engine, { graphId: "stubborn", input: hello }, { signal: abort.signal });
    await started.promise;
    const before = performance.now();
    abort.abort(cancelled);
    const run = await running;
    expect(performance.now() - before).toBeLessThan(500);
    expect(run.outcome).toMatchObject({ kind: "aborted", hasNext: true });
    expect(run.values).toMatchObject({ log: ["first"] });
    expect(nodeSignal?.aborted).toBe(true);
    expect(nodeSignal?.reason).toBeInstanceOf(DOMException);

    const stored = JSON.stringify([saver.storage, saver.writes]);
    until.open();
    for (let turn = 0; turn < 5; turn += 1) await nextTurn();
    expect(JSON.stringify([saver.storage, saver.writes])).toBe(stored);
    expect(unhandled).toEqual([]);
  });

  it("is bounded also where LangGraph no longer listens: beside a parallel node that has finished", async () => {
    const until = gate();
    const started = gate();
    const State = Annotation.Root({
      log: Annotation<string[]>({ reducer: (a, b) => [...a, ...b], default: () => [] }),
    });
    const graph = new StateGraph(State)
      .addNode("quick", () => ({ log: ["quick"] }))
      .addNode("slow", async () => {
        await nextTurn();
        started.open();
        await until.promise;
        return { log: ["slow"] };
      })
      .addEdge(START, "quick")
      .addEdge(START, "slow")
      .compile();
    const { engine, saver } = await harness({ graph });
    const abort = new AbortController();
    const running = execute(
      engine,
      { graphId: "graph", input: { log: [] }, streamModes: ["updates"] },
      { signal: abort.signal },
    );
    await started.promise;
    const before = performance.now();
    abort.abort(cancelled);
    const run = await running;
    expect(performance.now() - before).toBeLessThan(500);
    expect(run.outcome.kind).toBe("aborted");
    const stored = JSON.stringify([saver.storage, saver.writes]);
    until.open();
    for (let turn = 0; turn < 5; turn += 1) await nextTurn();
    expect(JSON.stringify([saver.storage, saver.writes])).toBe(stored);
    expect(unhandled).toEqual([]);
  });

  it("a node that rejects after the abort is nobody's unhandled rejection", async () => {
    const until = gate();
    const started = gate();
    const { engine } = await harness({ stubborn: stubborn(until.promise, () => started.open()) });
    const abort = new AbortController();
    const running = execute(
      engine,
      { graphId: "stubborn", input: hello, streamModes: ["events", "values"] },
      { signal: abort.signal },
    );
    await started.promise;
    abort.abort(cancelled);
    expect((await running).outcome.kind).toBe("aborted");
    until.fail(new Error("too late"));
    for (let turn = 0; turn < 5; turn += 1) await nextTurn();
    expect(unhandled).toEqual([]);
  });

  it("after a superstep that came from the node cache is nobody's unhandled rejection either", async () => {
    // The first run fills the cache, the second takes the first node from it and waits in the other.
    let wait: Promise<void> = Promise.resolve();
    let onWait = (): void => {};
    const graph = new StateGraph(MessagesAnnotation)
      .addNode("cached", () => ({ messages: [] }), { cachePolicy: true })
      .addNode("slow", async () => {
        onWait();
        await wait;
        return {};
      })
      .addEdge(START, "cached")
      .addEdge("cached", "slow")
      .compile({ cache: new InMemoryCache() });
    const { engine } = await harness({ graph });
    await execute(engine, { graphId: "graph", input: hello });
    const started = gate();
    onWait = started.open;
    wait = new Promise(() => {});
    const abort = new AbortController();
    const running = execute(engine, { graphId: "graph", input: hello }, { signal: abort.signal });
    await started.promise;
    abort.abort(cancelled);
    expect((await running).outcome.kind).toBe("aborted");
    for (let turn = 0; turn < 5; turn += 1) await nextTurn();
    expect(unhandled).toEqual([]);
  });

  it("before the start executes nothing and applies no input", async () => {
    let ran = false;
    const graph = stubborn(Promise.resolve(), () => {
      ran = true;
    });
    const { engine, saver } = await harness({ stubborn: graph });
    const run = await execute(engine, { graphId: "stubborn", input: hello }, { signal: AbortSignal.abort(cancelled) });
    expect(run.outcome).toEqual({ kind: "aborted", hasNext: false });
    expect(run.frames).toEqual([]);
    expect(ran).toBe(false);
    expect(Object.keys(saver.storage)).toEqual([]);
  });

  it("of the reader stops the graph", async () => {
    const stopped = gate();
    const graph = stubborn(new Promise(() => {}), (signal) => signal?.addEventListener("abort", () => stopped.open()));
    const { engine } = await harness({ stubborn: graph });
    const events = engine.execute({
      claimed: claimed({ graphId: "stubborn", input: hello }),
      signal: new AbortController().signal,
    });
    await events.next();
    await events.next();
    await events.return({ kind: "aborted", hasNext: false });
    await expect(stopped.promise).resolves.toBeUndefined();
  });

  it("leaves the thread so that it can go on", async () => {
    const until = gate();
    const started = gate();
    const graph = stubborn(until.promise, () => started.open());
    const { engine } = await harness({ stubborn: graph });
    const threadId = randomUUID();
    const abort = new AbortController();
    const running = execute(engine, { graphId: "stubborn", threadId, input: hello }, { signal: abort.signal });
    await started.promise;
    abort.abort(cancelled);
    await running;
    until.open();
    const { tasks } = await engine.getState({ graphId: "stubborn", threadId, config: {}, subgraphs: false });
    expect(tasks).toMatchObject([{ name: "wait", error: null, result: null }]);
    const rest = await execute(engine, { graphId: "stubborn", threadId, input: null });
    expect(rest.values).toMatchObject({ log: ["first", "waited", "never"] });
  });
});

describe("a registered graph", () => {
  it("is never changed", async () => {
    const graph = Object.freeze(stubborn(Promise.resolve()));
    const { engine } = await harness({ graph });
    expect((await execute(engine, { graphId: "graph", input: hello })).outcome.kind).toBe("success");
    expect(graph.checkpointer).toBeUndefined();
  });
});
