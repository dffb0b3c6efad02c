import type { Clock } from "../../core/clock.js";
import type { EventLog } from "../../core/event-log.js";
import type { JsonObject } from "../../core/json.js";
import { isJsonObject, parseJsonText } from "../../core/json.js";
import { keptEvents } from "../../core/kept-events.js";
import { isTerminal } from "../../core/run-lifecycle.js";
import type { Run } from "../../core/run.js";
import { parseThreadEvent, threadLogOf } from "../../core/thread-event.js";

/** What of a run happened where, and how it stands there (docs/wire/langgraph-api.md §4.3.4). */
export interface AgentTree {
  readonly namespace: readonly string[];
  readonly status: "started" | "running" | "completed" | "failed" | "interrupted";
  readonly graphName: string;
  readonly children: readonly AgentTree[];
}

type Status = AgentTree["status"];

interface Node {
  readonly namespace: readonly string[];
  status: Status;
  graphName: string;
  readonly children: Map<string, Node>;
}

/**
 * The tree of a run, from the lifecycle events that its thread's log still has; without them it is the root alone, as the
 * run's row tells it.
 */
export async function agentTree(
  deps: { readonly eventLog: EventLog; readonly clock: Clock },
  run: Run,
): Promise<AgentTree> {
  const root: Node = { namespace: [], status: statusOf(run), graphName: run.graphId, children: new Map() };
  let inRun = false;
  for await (const { event, data } of keptEvents(deps, threadLogOf(run.threadId))) {
    if (!event.startsWith("lifecycle")) continue;
    const { namespace, channel } = parseThreadEvent(event);
    const params = parseJsonText(data);
    if (channel !== "lifecycle" || !isJsonObject(params)) continue;
    const lifecycle = isJsonObject(params["data"]) ? params["data"] : {};
    // Runs of a thread do not overlap: what comes after a root `running` is that run's.
    if (namespace.length === 0) {
      if (lifecycle["event"] === "running") inRun = params["run_id"] === run.runId;
    } else if (inRun) apply(root, namespace, lifecycle);
  }
  return treeOf(root);
}

function apply(root: Node, namespace: readonly string[], lifecycle: JsonObject): void {
  let node = root;
  namespace.forEach((segment, depth) => {
    let child = node.children.get(segment);
    if (child === undefined) {
      child = {
        namespace: namespace.slice(0, depth + 1),
        status: "started",
        graphName: segment.split(":", 1)[0] ?? segment,
        children: new Map(),
      };
      node.children.set(segment, child);
    }
    node = child;
  });
  const { event, graph_name: graphName } = lifecycle;
  if (isStatus(event)) node.status = event;
  if (typeof graphName === "string") node.graphName = graphName;
}

const STATUSES = ["started", "running", "completed", "failed", "interrupted"] as const;

function isStatus(value: unknown): value is Status {
  return STATUSES.some((status) => status === value);
}

function statusOf({ status, error }: Run): Status {
  if (!isTerminal(status)) return "running";
  if (error !== null || status === "error" || status === "timeout") return "failed";
  return status === "interrupted" ? "interrupted" : "completed";
}

function treeOf({ namespace, status, graphName, children }: Node): AgentTree {
  const sorted = [...children.values()].sort((a, b) =>
    JSON.stringify(a.namespace) < JSON.stringify(b.namespace) ? -1 : 1,
  );
  return { namespace, status, graphName, children: sorted.map(treeOf) };
}
