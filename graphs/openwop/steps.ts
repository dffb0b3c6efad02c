import { setTimeout as sleep } from "node:timers/promises";
import { END, START, StateGraph, StateSchema } from "@langchain/langgraph";
import { z } from "zod";

/*
 * Fixture workflows of OpenWOP without interrupts, named `conformance-…` in langgraph.json beside this file. They are ordinary
 * graphs: a node's `openwop.typeId` is only what OpenWOP calls its type.
 */

const typed = (typeId: string) => ({ metadata: { "openwop.typeId": typeId } });

const Nothing = new StateSchema({});

/** `conformance-noop`: ends without having done anything. */
export const noop = new StateGraph(Nothing)
  .addNode("noop", () => ({}), typed("core.noop"))
  .addEdge(START, "noop")
  .addEdge("noop", END)
  .compile();

const Payload = new StateSchema({ payload: z.json().default(null) });

/** `conformance-identity`: `payload` comes out as it went in, whatever it is. */
export const identity = new StateGraph(Payload)
  .addNode("echo", ({ payload }: typeof Payload.State) => ({ payload }), typed("core.identity"))
  .addEdge(START, "echo")
  .addEdge("echo", END)
  .compile();

/** `conformance-idempotent`: does nothing; by its `nonce` two requests can be told apart. */
export const idempotent = new StateGraph(new StateSchema({ nonce: z.string() }))
  .addNode("noop", () => ({}), typed("core.noop"))
  .addEdge(START, "noop")
  .addEdge("noop", END)
  .compile();

/** Waits for `delayMs` milliseconds, and no longer once the run is cancelled. */
function waiting(defaultMs: number) {
  const State = new StateSchema({ delayMs: z.number().min(0).default(defaultMs) });
  return new StateGraph(State)
    .addNode(
      "wait",
      async ({ delayMs }: typeof State.State, config) => {
        await sleep(delayMs, undefined, { signal: config.signal });
        return {};
      },
      typed("core.delay"),
    )
    .addEdge(START, "wait")
    .addEdge("wait", END)
    .compile();
}

/** `conformance-delay`: a second. */
export const delay = waiting(1_000);
/** `conformance-cancellable`: long enough to be cancelled. */
export const cancellable = waiting(30_000);
/** `conformance-run-duration-breach`: longer than any limit that a test sets. */
export const runDurationBreach = waiting(30_000);

/** `conformance-multi-node`: one after the other. */
export const multiNode = new StateGraph(Nothing)
  .addNode("a", () => ({}), typed("core.noop"))
  .addNode("b", () => ({}), typed("core.noop"))
  .addNode("c", () => ({}), typed("core.noop"))
  .addEdge(START, "a")
  .addEdge("a", "b")
  .addEdge("b", "c")
  .addEdge("c", END)
  .compile();

/** `conformance-failure`: always fails. */
export const failure = new StateGraph(Nothing)
  .addNode(
    "fail",
    () => {
      throw new Error("This node always fails.");
    },
    typed("core.fail"),
  )
  .addEdge(START, "fail")
  .addEdge("fail", END)
  .compile();

/** `conformance-cap-breach`: six nodes in a row, for limits below that. */
export const capBreach = new StateGraph(Nothing)
  .addNode("n1", () => ({}), typed("core.noop"))
  .addNode("n2", () => ({}), typed("core.noop"))
  .addNode("n3", () => ({}), typed("core.noop"))
  .addNode("n4", () => ({}), typed("core.noop"))
  .addNode("n5", () => ({}), typed("core.noop"))
  .addNode("n6", () => ({}), typed("core.noop"))
  .addEdge(START, "n1")
  .addEdge("n1", "n2")
  .addEdge("n2", "n3")
  .addEdge("n3", "n4")
  .addEdge("n4", "n5")
  .addEdge("n5", "n6")
  .addEdge("n6", END)
  .compile();

const Options = z.object({
  recursionLimit: z.int().min(1).optional(),
  tags: z.array(z.string()).optional(),
});

/** `conformance-configurable-schema`: its options are these two and no others. */
export const configurableSchema = new StateGraph(Nothing, { context: Options })
  .addNode("noop", () => ({}), typed("core.noop"))
  .addEdge(START, "noop")
  .addEdge("noop", END)
  .compile();
