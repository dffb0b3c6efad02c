import { AsyncLocalStorage } from "node:async_hooks";
import { randomUUID } from "node:crypto";
import { MemorySaver, InMemoryStore } from "@langchain/langgraph-checkpoint";
import { Annotation, getConfig, interrupt, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { AsyncLocalStorageProviderSingleton } from "@langchain/core/singletons";
import { getContextVariable, setContextVariable } from "@langchain/core/context";
import { RunnableLambda } from "@langchain/core/runnables";
import { afterEach, describe, expect, it } from "vitest";
import { ALL_ROWS } from "../../src/core/auth.js";
import { LEASE_KEY, leaseOf } from "../../src/core/checkpointer.js";
import type { PregelLike } from "../../src/engine/graph-source.js";
import { installFastPaths } from "../../src/engine/execution/fast-paths.js";
import { systemClock } from "../../src/runtime/system-clock.js";
import { createIndexedItems } from "../../src/embeddings/indexed-items.js";
import { createMemoryItems } from "../../src/stores/memory/index.js";
import { hello, inspect, steps } from "./graphs.js";
import { execute, harness } from "./harness.js";

interface Seen {
  readonly configurable: Record<string, unknown>;
  readonly metadata: Record<string, unknown>;
  readonly context: unknown;
  readonly recursionLimit: number;
  readonly tags: string[];
}
const look = (config: object): Seen => {
  const { configurable, metadata, context, recursionLimit, tags } = config as Seen;
  return { configurable: { ...configurable }, metadata, context, recursionLimit, tags };
};

describe("what a graph sees of its run", () => {
  it("is the merged configuration, the server's ids, the context and the lease", async () => {
    let seen: Seen | undefined;
    const { engine } = await harness({ graph: inspect((config) => void (seen = look(config))) });
    const { run } = await execute(engine, {
      graphId: "graph",
      input: { seen: 1 },
      context: { tone: "kind" },
      config: {
        recursion_limit: 7,
        tags: ["t"],
        configurable: { model: "m", run_id: "spoofed", __pregel_resuming: true },
      },
      langsmithTracer: { projectName: "p", exampleId: "e" },
    });
    expect(seen?.configurable).toMatchObject({
      model: "m",
      run_id: run.runId,
      thread_id: run.threadId,
      graph_id: "graph",
      assistant_id: run.assistantId,
      langsmith_project: "p",
      langsmith_example_id: "e",
    });
    expect(leaseOf(seen?.configurable)).toEqual({ runId: run.runId, leaseToken: 7 });
    expect(seen?.context).toEqual({ tone: "kind" });
    expect(seen?.recursionLimit).toBe(7);
    expect(seen?.tags).toContain("t");
    expect(seen?.metadata).toMatchObject({ model: "m", run_attempt: 1, thread_id: run.threadId });
    expect(LEASE_KEY.startsWith("__")).toBe(true);
  });

  it("names the user by the first that is known", async () => {
    const users: unknown[] = [];
    const { engine } = await harness({
      graph: inspect((config) => void users.push(look(config).configurable["user_id"])),
    });
    const auth = { langgraph_auth_user_id: "auth" };
    await execute(engine, {
      graphId: "graph",
      input: { seen: 1 },
      config: { configurable: { user_id: "own", ...auth } },
    });
    await execute(engine, { graphId: "graph", input: { seen: 1 }, config: { configurable: auth } });
    await execute(engine, { graphId: "graph", input: { seen: 1 } });
    expect(users).toEqual(["own", "auth", undefined]);
  });

  it("has the engine's store, and factories get the run's config and context", async () => {
    const items = createIndexedItems({ items: createMemoryItems(systemClock) });
    const uses: unknown[] = [];
    const { engine } = await harness(
      {
        factory: (config: { configurable: object }, runtime: object) => {
          uses.push([config.configurable, runtime]);
          return inspect((node) => (node as { store?: InMemoryStore }).store?.put(["a"], "k", { v: 1 }));
        },
      },
      { items },
    );
    const { run } = await execute(engine, {
      graphId: "factory",
      input: { seen: 1 },
      context: { c: 1 },
      config: { configurable: { k: "v" } },
    });
    await engine.getState({
      graphId: "factory",
      threadId: run.threadId,
      config: { configurable: { k: "t" } },
      subgraphs: false,
    });
    expect(await items.get({ namespace: ["a"], key: "k", access: ALL_ROWS })).toMatchObject({
      item: { value: { v: 1 } },
    });
    expect(uses).toMatchObject([
      [
        { k: "v", thread_id: run.threadId },
        { accessContext: "threads.create_run", executionRuntime: { context: { c: 1 } } },
      ],
      [{ k: "t" }, { accessContext: "threads.read", executionRuntime: null }],
    ]);
    expect(Object.keys((uses[0] as [object])[0]).filter((key) => key.startsWith("__"))).toEqual([]);
  });
});

describe("one shared graph", () => {
  it("keeps concurrent runs, temporary or not, apart", async () => {
    const { engine, saver } = await harness({ steps });
    const runs = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        execute(engine, {
          graphId: "steps",
          input: { topic: `t${index}` },
          interruptBefore: ["two"],
          temporary: index % 2 === 0,
        }),
      ),
    );
    for (const [index, run] of runs.entries()) {
      expect(run.values).toEqual({ messages: [], topic: `t${index}`, log: ["one"] });
      expect(run.run.threadId in saver.storage).toBe(index % 2 === 1);
    }
    expect((steps as PregelLike).checkpointer).toBeUndefined();
  });

  it("with a checkpointer and a store of its own is warned about once, and uses the server's", async () => {
    const own = new MemorySaver();
    const graph = new StateGraph(MessagesAnnotation)
      .addNode("a", () => ({}))
      .addEdge(START, "a")
      .compile({ checkpointer: own, store: new InMemoryStore() });
    const { engine, saver, logs } = await harness(
      { graph },
      { items: createIndexedItems({ items: createMemoryItems(systemClock) }) },
    );
    const first = await execute(engine, { graphId: "graph", input: hello });
    await execute(engine, { graphId: "graph", input: hello });
    expect(Object.keys(own.storage)).toEqual([]);
    expect(saver.storage).toHaveProperty(first.run.threadId);
    expect(logs.filter(({ level }) => level === "warn")).toMatchObject([
      { fields: { graphId: "graph", ignored: ["checkpointer", "store"] } },
    ]);
  });

  it.each([true, false])("compiled with checkpointer: %s runs on the server's", async (checkpointer) => {
    const graph = new StateGraph(MessagesAnnotation)
      .addNode("a", () => ({ messages: [{ role: "ai", content: String(interrupt("?")) }] }))
      .addEdge(START, "a")
      .compile({ checkpointer });
    const { engine } = await harness({ graph });
    const { run, outcome } = await execute(engine, { graphId: "graph", input: hello });
    expect(outcome).toMatchObject({ kind: "success", hasNext: true });
    const resumed = await execute(engine, { graphId: "graph", threadId: run.threadId, command: { resume: "ok" } });
    expect(resumed.values).toMatchObject({ messages: [{ id: "m1" }, { content: "ok" }] });
  });

  it("with a subgraph that remembers (checkpointer: true) finds its memory in the next run", async () => {
    const Inner = Annotation.Root({ count: Annotation<number>({ reducer: (a, b) => a + b, default: () => 0 }) });
    const inner = new StateGraph(Inner)
      .addNode("n", () => ({ count: 1 }))
      .addEdge(START, "n")
      .compile({ checkpointer: true });
    const graph = new StateGraph(Annotation.Root({ total: Annotation<number>() }))
      .addNode("call", async () => ({ total: (await inner.invoke({ count: 0 })).count }))
      .addEdge(START, "call")
      .compile();
    const { engine } = await harness({ graph });
    const first = await execute(engine, { graphId: "graph", input: { total: 0 } });
    const second = await execute(engine, { graphId: "graph", threadId: first.run.threadId, input: { total: 0 } });
    expect([first.values, second.values]).toEqual([{ total: 1 }, { total: 2 }]);
  });
});

describe("async context", () => {
  it("of another graph's node is not inherited, and the given context is entered", async () => {
    const context = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const inner = inspect((config) => void seen.push([look(config), context.getStore()]));
    const { engine } = await harness({ inner }, { runInContext: (fn) => context.run("server", fn) });
    const surrounding = new StateGraph(MessagesAnnotation)
      .addNode("caller", async () => {
        expect(getConfig()).toBeDefined();
        await execute(engine, { graphId: "inner", input: { seen: 1 }, streamModes: ["custom"] });
        return {};
      })
      .addEdge(START, "caller")
      .compile();
    const chunks: unknown[] = [];
    for await (const chunk of await surrounding.stream(hello, {
      recursionLimit: 5,
      tags: ["outer"],
      configurable: { leaked: true },
      context: { leaked: true },
      streamMode: "custom",
    })) {
      chunks.push(chunk);
    }
    const [config, store] = seen[0] as [Seen, string];
    expect(store).toBe("server");
    expect(config.recursionLimit).toBe(25);
    expect(config.tags).not.toContain("outer");
    expect(config.context).toBeUndefined();
    expect(config.configurable).not.toHaveProperty("leaked");
  });
});

describe("fast paths", () => {
  const provider = AsyncLocalStorageProviderSingleton;
  const stock = Object.getPrototypeOf(provider).runWithConfig as typeof provider.runWithConfig;
  const releases: (() => void)[] = [];
  const install = (): void => void releases.push(installFastPaths());
  afterEach(() => {
    for (const release of releases.splice(0)) release();
  });

  it("replace one method, once, and undo it with the last holder", () => {
    expect(provider.runWithConfig).toBe(stock);
    install();
    const fast = provider.runWithConfig;
    expect(fast).not.toBe(stock);
    install();
    expect(provider.runWithConfig).toBe(fast);
    releases[0]?.();
    releases[0]?.();
    expect(provider.runWithConfig).toBe(fast);
    releases[1]?.();
    expect(provider.runWithConfig).toBe(stock);
  });

  it("can be switched off, and are released with the engine", async () => {
    const off = await harness({ steps }, { fastPaths: false });
    expect(provider.runWithConfig).toBe(stock);
    await off.engine.close();
    const on = await harness({ steps });
    expect(provider.runWithConfig).not.toBe(stock);
    await on.engine.close();
    await on.engine.close();
    expect(provider.runWithConfig).toBe(stock);
  });

  it.each([true, false])("carry config, writers, interrupts and context variables (fast: %s)", async (fast) => {
    if (fast) install();
    setContextVariable("outside", "yes");
    const nested = RunnableLambda.from(async () => {
      await Promise.resolve();
      return {
        variable: getContextVariable<unknown>("inside"),
        thread: getConfig()?.configurable?.["thread_id"] as unknown,
      };
    });
    const graph = new StateGraph(Annotation.Root({ out: Annotation<unknown>() }))
      .addNode("a", async (_state, config) => {
        setContextVariable("inside", "set");
        const before = getConfig()?.configurable?.["thread_id"] as unknown;
        config.writer?.("written");
        const inner = await nested.invoke({});
        const answer = interrupt("?");
        return { out: { before, inner, answer } };
      })
      .addEdge(START, "a")
      .compile({ checkpointer: new MemorySaver() });
    const thread_id = randomUUID();
    const config = { configurable: { thread_id }, streamMode: ["custom"] as ["custom"] };
    const written: unknown[] = [];
    for await (const [, chunk] of await graph.stream({ out: 1 }, config)) written.push(chunk);
    expect(written).toEqual(["written"]);
    const { Command } = await import("@langchain/langgraph");
    expect(await graph.invoke(new Command({ resume: "ok" }), { configurable: { thread_id } })).toEqual({
      out: { before: thread_id, inner: { variable: "set", thread: thread_id }, answer: "ok" },
    });
  });

  it("look like LangChain's own store to LangSmith", () => {
    const storeOf = () =>
      provider.runWithConfig({ tags: ["x"] }, () => provider.getInstance().getStore()) as Record<string, unknown>;
    const before = storeOf();
    install();
    const after = storeOf();
    expect(after).not.toBe(before);
    expect(after["tracingEnabled"]).toBe(false);
    expect(typeof after["createChild"]).toBe("function");
    expect(typeof after["postRun"]).toBe("function");
    expect(after["name"]).toBe(before["name"]);
    const again = storeOf();
    (again["child_runs"] as unknown[]).push(1);
    expect(storeOf()["child_runs"]).toEqual([]);
  });

  it("stand aside for a tracer and inside a traced run", () => {
    install();
    const storage = provider.getInstance();
    const tracer = { name: "langchain_tracer", copy: () => tracer };
    const viaTracer = provider.runWithConfig({ callbacks: [tracer] }, () => storage.getStore()) as {
      child_runs: unknown;
    };
    expect(Object.hasOwn(viaTracer, "id")).toBe(true);
    const traced = { tracingEnabled: true, createChild: () => traced, postRun: () => {}, id: "x" };
    const inside = storage.run(traced, () => provider.runWithConfig({}, () => storage.getStore()));
    expect(Object.hasOwn(inside as object, "id")).toBe(true);
    const untraced = provider.runWithConfig({}, () => storage.getStore());
    expect(Object.hasOwn(untraced as object, "id")).toBe(false);
  });
});
