import type { NewRunEvent } from "../../core/run-event.js";
import { createNamespaces, type Namespaces } from "./namespaces.js";
import { serialize } from "./serialize.js";
import type { LangGraphMode } from "./stream-parts.js";
import { taskPayload } from "./stream-payloads.js";

/**
 * Mode `lifecycle` (docs/wire/langgraph-api.md §3.4): `lifecycle|<namespace>` when a nested graph starts and ends, with
 * `{event, namespace, tool_call_id?, error?}`. Nested graphs are seen whatever `stream_subgraphs` says.
 */
export interface LifecycleEvents {
  /** Before a chunk of the graph in this namespace. */
  observe(namespace: readonly string[], mode: LangGraphMode, out: NewRunEvent[]): void;
  /** After a chunk of mode `tasks`. */
  task(namespace: readonly string[], payload: unknown, out: NewRunEvent[]): void;
  end(status: "completed" | "failed" | "interrupted", out: NewRunEvent[]): void;
}

/** What a graph's own loop streams; the others also come from nodes that are no graphs. */
const LOOP_MODES: ReadonlySet<LangGraphMode> = new Set(["values", "updates", "tasks", "checkpoints", "debug"]);

export function createLifecycleEvents(): LifecycleEvents {
  let target: NewRunEvent[] = [];
  const namespaces = createNamespaces({
    onChange: ({ namespace, status, toolCallId, error }) => {
      if (status === "running") return;
      const data = {
        event: status,
        namespace,
        ...(toolCallId === undefined ? {} : { tool_call_id: toolCallId }),
        ...(error === undefined ? {} : { error: { error: "Error", message: error } }),
      };
      target.push({ event: `lifecycle|${namespace.join("|")}`, data: serialize(data), kind: "state" });
    },
    agentName: () => undefined,
  });
  const into = (out: NewRunEvent[], what: (namespaces: Namespaces) => void): void => {
    target = out;
    what(namespaces);
  };
  return {
    observe(namespace, mode, out) {
      if (namespace.length > 0 && LOOP_MODES.has(mode)) into(out, (tree) => tree.observe(namespace));
    },
    task: (namespace, payload, out) => into(out, (tree) => tree.task(namespace, taskPayload(payload))),
    end: (status, out) => into(out, (tree) => tree.end(status)),
  };
}
