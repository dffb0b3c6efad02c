import { Command, interrupt } from "@langchain/langgraph";
import { type RunnableConfig, RunnableLambda } from "@langchain/core/runnables";
import type { RecordedNodes, RecordedTask } from "../../core/run-observer.js";
import type { JsonObject } from "../../core/json.js";
import { isJsonObject } from "../../core/json.js";
import type { PregelLike } from "../graph-source.js";

interface Node {
  readonly bound: unknown;
  readonly ends?: readonly string[];
}

/**
 * The graph with nodes that do what was recorded: no model is called and no tool. Edges and conditions are the
 * graph's own. As a view: registered graphs are shared.
 */
export function withRecordedNodes(graph: PregelLike, recorded: RecordedNodes): PregelLike {
  const nodes: Record<string, unknown> = {};
  for (const [name, node] of Object.entries(graph.nodes as Readonly<Record<string, Node>>)) {
    nodes[name] = name.startsWith("__") ? node : recordedNode(name, node, recorded);
  }
  return Object.create(graph, {
    nodes: { value: nodes, writable: true, enumerable: true, configurable: true },
  }) as PregelLike;
}

function recordedNode(name: string, node: Node, recorded: RecordedNodes): object {
  const bound = RunnableLambda.from((_: unknown, config: RunnableConfig) =>
    resultOf(recorded(name, taskIdOf(config)), node),
  );
  return Object.create(node, {
    bound: { value: bound, writable: true, enumerable: true, configurable: true },
  }) as object;
}

/** The namespace of a task's own checkpoints ends with its id. */
function taskIdOf({ configurable }: RunnableConfig): string {
  const namespace = String(configurable?.["checkpoint_ns"] ?? "");
  return namespace.slice(namespace.lastIndexOf(":") + 1);
}

function resultOf(task: RecordedTask, { ends }: Node): unknown {
  // As in the node itself: those that have an answer return, the first one without stops the task.
  for (const value of task.interrupts) interrupt(value);
  if (task.error !== null) throw recordedError(task.error);
  const update: JsonObject = isJsonObject(task.outputs) ? task.outputs : {};
  if (ends === undefined || ends.length === 0) return update;
  return new Command({ update, goto: task.next.filter((next) => ends.includes(next)) });
}

/** @param text as `taskErrorText` makes it: `name: message` */
function recordedError(text: string): Error {
  const [, name, message = ""] = /^([\w$.]{1,64}): ([^]*)$/.exec(text) ?? [null, "Error", text];
  const error = new Error(message);
  if (name !== undefined) error.name = name;
  return error;
}
