import { END, type LangGraphRunnableConfig, START, StateGraph, StateSchema } from "@langchain/langgraph";
import { z } from "zod";

/*
 * Fixture workflows of OpenWOP: a workflow that calls another one. In a run of OpenWOP the child is a run of its own, which the parent starts
 * and waits for; in a run of LangGraph's API there is nobody to ask for that, and the child is called as any graph is.
 */

const State = new StateSchema({ childResult: z.string().nullable().default(null) });
const CHILD_ID = "conformance-subworkflow-child";

/** `conformance-subworkflow-child`: two steps and a result. */
export const child = new StateGraph(State)
  .addNode("child-n1", () => ({}), { metadata: { "openwop.typeId": "core.noop" } })
  .addNode("child-n2", () => ({ childResult: "done" }), { metadata: { "openwop.typeId": "core.setVariable" } })
  .addEdge(START, "child-n1")
  .addEdge("child-n1", "child-n2")
  .addEdge("child-n2", END)
  .compile();

/** What every run of OpenWOP has in its `configurable`. */
const InOpenwop = z.object({ openwop: z.object({ runId: z.string(), path: z.string() }) });
const Created = z.object({ runId: z.string() });
const Polled = z.object({ isComplete: z.boolean(), events: z.array(z.object({ sequence: z.number() })) });
const Snapshot = z.object({ status: z.string(), variables: z.object({ childResult: z.string().nullable() }) });
const POLL_S = 10;

/** The server that executes this very run (docs/protocols/openwop.md): as the LangGraph SDK's `new Client()` reaches it. */
async function ask(path: string, init: RequestInit): Promise<unknown> {
  const own = (globalThis as { [key: symbol]: typeof fetch | undefined })[Symbol.for("langgraph_api:fetch")] ?? fetch;
  const response = await own(`http://localhost${path}`, init);
  if (!response.ok) throw new Error(`The child run could not be asked (${response.status}): ${await response.text()}`);
  return response.json();
}

async function callChild(_: typeof State.State, config: LangGraphRunnableConfig) {
  const { data } = InOpenwop.safeParse(config.configurable);
  if (data === undefined) return { childResult: (await child.invoke({}, config)).childResult };
  const { runId, path } = data.openwop;
  const signal = config.signal ?? null;
  const created = await ask(`${path}/v1/runs`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "x-openwop-parent-run-id": runId,
      // A node that is executed again finds the child that it started before.
      "idempotency-key": `${runId}:subwf-call`,
    },
    body: JSON.stringify({ workflowId: CHILD_ID }),
    signal,
  });
  const { runId: childId } = Created.parse(created);
  // Each answer comes when the child has gone on, or after a while.
  let isComplete = false;
  for (let last = -1; !isComplete;) {
    const from = last < 0 ? "" : `&lastSequence=${last}`;
    const polled = Polled.parse(
      await ask(`${path}/v1/runs/${childId}/events/poll?timeout=${POLL_S}${from}`, { signal }),
    );
    last = polled.events.at(-1)?.sequence ?? last;
    isComplete = polled.isComplete;
  }
  const { status, variables } = Snapshot.parse(await ask(`${path}/v1/runs/${childId}`, { signal }));
  if (status !== "completed") throw new Error(`The child run ended as ${status}.`);
  return { childResult: variables.childResult };
}

/** `conformance-subworkflow-parent`: has the child's result when it ends. */
export const parent = new StateGraph(State)
  .addNode("parent-start", () => ({}), { metadata: { "openwop.typeId": "core.noop" } })
  .addNode("subwf-call", callChild, { metadata: { "openwop.typeId": "core.subWorkflow" } })
  .addNode("parent-end", () => ({}), { metadata: { "openwop.typeId": "core.noop" } })
  .addEdge(START, "parent-start")
  .addEdge("parent-start", "subwf-call")
  .addEdge("subwf-call", "parent-end")
  .addEdge("parent-end", END)
  .compile();
