import { Command, interrupt } from "@langchain/langgraph";
import { RunnableLambda } from "@langchain/core/runnables";
import type { RecordedTask, RunObserver } from "../../core/run-observer.js";
import type { JsonObject } from "../../core/json.js";
import { isJsonObject } from "../../core/json.js";
import type { PregelLike } from "../graph-source.js";

interface Node {
  readonly bound: unknown;
  readonly ends?: readonly string[];
}

/**
 * The graph with nodes that do what was recorded, where something was: no model is called and no tool. Edges and conditions are the
 * graph's own. As a view: registered graphs are shared.
 */
export function withRecordedNodes(graph: PregelLike, recorded: NonNullable<RunObserver["recorded"]>): PregelLike {
  const nodes: Record<string, unknown> = {};
  for (const [name, node] of Object.entries(graph.nodes as Readonly<Record<string, Node>>)) {
    nodes[name] = name.startsWith("__") ? node : recordedNode(name, node, recorded);
  }
  return Object.create(graph, {
    nodes: { value: nodes, writable: true, enumerable: true, configurable: true },
  }) as PregelLike;
}

function recordedNode(name: string, node: Node, recorded: NonNullable<RunObserver["recorded"]>): object {
  const own = node.bound as { invoke(input: unknown, config?: unknown): Promise<unknown> };
  const bound = RunnableLambda.from(async (input: unknown, config: unknown) => {
    const task = recorded(name);
    return task === null ? own.invoke(input, config) : resultOf(task, node);
  });
  return Object.create(node, {
    bound: { value: bound, writable: true, enumerable: true, configurable: true },
  }) as object;
}

function resultOf(task: RecordedTask, { ends }: Node): unknown {
  // As in the node itself: those that have an answer return, the first one without stops the task.
  for (const value of task.interrupts) interrupt(value);
  if (task.error !== null) throw new Error(task.error);
  const update: JsonObject = isJsonObject(task.outputs) ? task.outputs : {};
  if (ends === undefined || ends.length === 0) return update;
  return new Command({ update, goto: task.next.filter((next) => ends.includes(next)) });
}
