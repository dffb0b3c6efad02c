import { Send, START, StateGraph, StateSchema } from "@langchain/langgraph";
import { expect, it } from "vitest";
import { z } from "zod";
import { openwop } from "../../../src/protocols/openwop/index.js";
import { startServer } from "../../support/server.js";
import { wop } from "./wop.js";

const State = new StateSchema({ width: z.number().default(1) });
/** As many nodes at once as are asked for. */
const wide = new StateGraph(State)
  .addNode("begin", () => ({}))
  .addNode("one", () => ({}))
  .addEdge(START, "begin")
  .addConditionalEdges(
    "begin",
    ({ width }: typeof State.State) => Array.from({ length: width }, () => new Send("one", {})),
    ["one"],
  )
  .compile();

it("47: a run without a recursionLimit starts no more nodes than discovery says", async () => {
  const server = await startServer("memory", { graphs: { wide }, protocols: [openwop()] });
  const client = wop(`${server.url}/openwop`);
  const { maxNodeExecutions: limit } = (await client.get("/.well-known/openwop")).json.limits;
  const { json } = await client.post("/v1/runs", { workflowId: "wide", inputs: { width: limit } });
  const { error } = await client.reach(json.runId, "failed", "completed");
  expect(error).toMatchObject({ code: "recursion_limit_exceeded" });
  let started = 0;
  let breached: unknown;
  let isComplete = false;
  for (let last = 0; !isComplete;) {
    const page = (await client.get(`/v1/runs/${json.runId}/events/poll?lastSequence=${last}&timeout=1`)).json;
    started += page.events.filter(({ type }: { type: string }) => type === "node.started").length;
    breached ??= page.events.find(({ type }: { type: string }) => type === "cap.breached")?.payload;
    last = page.events.at(-1)?.sequence ?? last;
    isComplete = page.isComplete as boolean;
  }
  expect(started).toBe(limit);
  expect(breached).toMatchObject({ kind: "node-executions", limit, observed: limit + 1 });
  await server.close();
}, 60_000);
