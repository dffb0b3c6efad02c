import { isGraphInterrupt } from "@langchain/langgraph";
import { RemoteGraph } from "@langchain/langgraph/remote";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TestServer } from "../support/server.js";
import { STORAGES, collect, startServer } from "../support/server.js";

describe.each(STORAGES)("RemoteGraph on %s", (storage) => {
  let server: TestServer;
  beforeAll(async () => void (server = await startServer(storage)));
  afterAll(() => server.close());

  const remote = (graphId: string) => new RemoteGraph({ graphId, url: server.url });

  it("invokes and streams with subgraphs", async () => {
    expect(await remote("counter").invoke({ n: 1 })).toMatchObject({ n: 4 });
    const chunks = await collect(await remote("nested").stream({ n: 0 }, { streamMode: "updates", subgraphs: true }));
    const paths = (chunks as [string[], object][]).map(([ns]) => ns.join("|").replace(/:.*/, ""));
    expect(paths.filter((p) => p === "sub")).toHaveLength(2);
    expect(paths.filter((p) => p === "")).toHaveLength(2);
  });

  it("reads and writes state, history, and the drawing", async () => {
    const graph = remote("counter");
    const { thread_id } = await server.client.threads.create();
    const config = { configurable: { thread_id } };
    await graph.invoke({ n: 0 }, config);
    const state = await graph.getState(config);
    expect(state.values).toMatchObject({ n: 3 });
    const updated = await graph.updateState(config, { n: 40 }, "one");
    expect(updated.configurable?.["checkpoint_id"]).toBeTypeOf("string");
    expect((await graph.getState(config)).next).toEqual(["two"]);
    const history = await collect(graph.getStateHistory(config, { limit: 3 }));
    expect(history).toHaveLength(3);
    const before = await collect(graph.getStateHistory(config, { limit: 10, before: history[0]!.config }));
    expect(before[0]!.config.configurable?.["checkpoint_id"]).toBe(history[1]!.config.configurable?.["checkpoint_id"]);
    expect(await graph.invoke(null, config)).toMatchObject({ n: 42 });
    const drawing = await graph.getGraphAsync({ xray: true });
    expect(Object.keys(drawing.nodes)).toEqual(["__start__", "one", "two", "three", "__end__"]);
    const subgraphs = await collect(remote("nested").getSubgraphsAsync(undefined, true));
    expect(subgraphs.map(([name]) => name)).toEqual(["sub"]);
  });

  it("turns an interrupt into GraphInterrupt", async () => {
    const { thread_id } = await server.client.threads.create();
    const error: unknown = await remote("ask")
      .invoke({ question: "?" }, { configurable: { thread_id } })
      .catch((e: unknown) => e);
    expect(isGraphInterrupt(error)).toBe(true);
  });
});
