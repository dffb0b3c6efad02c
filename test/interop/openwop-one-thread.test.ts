/** One thread through several protocols at once: OpenWOP starts and ends it, `useStream`, `RemoteGraph` and the SDK watch it. */
import { RemoteGraph } from "@langchain/langgraph/remote";
import type { Message } from "@langchain/langgraph-sdk";
import { useStream } from "@langchain/langgraph-sdk/react";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { graph as approval } from "../../graphs/approval.js";
import { openwop } from "../../src/protocols/openwop/index.js";
import { wop } from "../protocols/openwop/wop.js";
import type { TestServer } from "../support/server.js";
import { startServer, until } from "../support/server.js";
import { texts } from "./support/messages.js";
import { renderHook } from "./support/page.js";

interface State extends Record<string, unknown> {
  readonly messages: Message[];
}

describe.each(["memory", "sqlite", "postgres"] as const)("a run of OpenWOP as a thread, on %s", (storage) => {
  let server: TestServer;
  beforeAll(
    async () => void (server = await startServer(storage, { graphs: { approval }, protocols: [openwop()] })),
    60_000,
  );
  afterAll(() => server.close());

  it("54: is started by OpenWOP, watched by useStream, resolved by token, and read as state and history", async () => {
    const client = wop(`${server.url}/openwop`);
    const messages = [{ type: "human", content: "a refund" }];
    const created = await client.post("/v1/runs", { workflowId: "approval", inputs: { messages } });
    const runId = created.json.runId as string;

    const page = await renderHook(() =>
      useStream<State>({ apiUrl: server.url, assistantId: "approval", threadId: runId }),
    );
    try {
      const waiting = await client.reach(runId, "waiting-input");
      const question = { question: "May I send this?", draft: 'Dear customer, about "a refund": …' };
      expect(waiting.interrupt).toMatchObject({
        kind: "custom",
        nodeId: "review",
        data: { customKind: "langgraph.interrupt", payload: question },
      });

      const thread = await server.client.threads.get(runId);
      expect([thread.status, thread.metadata]).toMatchObject([
        "interrupted",
        { openwop: { runId, workflowId: "approval" } },
      ]);
      const remote = new RemoteGraph({ graphId: "approval", url: server.url });
      const config = { configurable: { thread_id: runId } };
      const state = await remote.getState(config);
      expect(state.next).toEqual(["review"]);
      expect(state.tasks[0]?.interrupts[0]?.value).toEqual(question);
      const mounted = await renderHook(() =>
        useStream<State>({ apiUrl: server.url, assistantId: "approval", threadId: runId }),
      );
      await mounted.until((stream) => stream.interrupt !== undefined, "the interrupt to be shown");
      expect(mounted.current.interrupt?.value).toEqual(question);
      await mounted.unmount();

      const { callbackUrl } = waiting.interrupt;
      const answered = await fetch(server.url + callbackUrl, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ resumeValue: { type: "approve" } }),
      });
      expect(answered.status).toBe(200);
      // The page follows the run that the answer began, as it would have followed one of its own.
      const [begun] = await server.client.runs.list(runId);
      await page.current.joinStream(begun?.run_id ?? "", "-1");
      await page.until((stream) => stream.messages.length === 2, "the run to be followed to its end");
      const done = await client.reach(runId, "completed");

      const { values, next } = await server.client.threads.getState<State>(runId);
      expect(next).toEqual([]);
      expect(done.variables).toEqual(values);
      expect((await remote.getState(config)).values).toEqual(values);
      await until(async () => (await server.client.threads.get(runId)).status === "idle", "the thread to rest");
      const runs = await server.client.runs.list(runId);
      expect(runs.map(({ status }) => status)).toEqual(["success", "success"]);

      const history = await server.client.threads.getHistory<State>(runId);
      const steps = history.map(({ metadata }) => metadata?.["step"]);
      expect(steps).toEqual([...steps].toSorted((a, b) => Number(b) - Number(a)));
      const completed = (await client.events(runId)).filter(({ type }) => type === "node.completed");
      expect(completed.map(({ nodeId }) => nodeId)).toEqual(["write", "review", "send"]);

      const after = await renderHook(() =>
        useStream<State>({ apiUrl: server.url, assistantId: "approval", threadId: runId }),
      );
      await after.until((stream) => stream.messages.length === 2, "both messages");
      expect(texts(after.current.messages)).toEqual([
        "human: a refund",
        expect.stringContaining("ai: Sent: Dear customer"),
      ]);
      await after.unmount();
    } finally {
      await page.unmount();
    }
  });

  it("54: an answer of a LangGraph client is the interrupt's, too", async () => {
    const client = wop(`${server.url}/openwop`);
    const messages = [{ type: "human", content: "a refund" }];
    const created = await client.post("/v1/runs", { workflowId: "approval", inputs: { messages } });
    const runId = created.json.runId as string;
    await client.reach(runId, "waiting-input");
    await server.client.runs.wait(runId, "approval", { command: { resume: { type: "reject", reason: "no" } } });
    const { variables } = await client.reach(runId, "completed");
    expect(variables.messages.at(-1).content).toBe("Not sent: no.");
    const late = await client.resolve(runId, "review", { type: "approve" });
    expect([409, 410]).toContain(late.status);
  });
});
