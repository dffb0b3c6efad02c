import { type Fields, isFields, isTaskResult, label, textOf } from "./shapes.js";

export type NamespaceStatus = "started" | "running" | "completed" | "failed" | "interrupted";

/** A change of one nested namespace. */
export interface NamespaceChange {
  readonly namespace: readonly string[];
  readonly status: NamespaceStatus;
  readonly graphName: string;
  /** The tool call that spawned it. */
  readonly toolCallId?: string;
  readonly error?: string;
}

const TASK_FAILED = "The task failed.";

interface Known {
  readonly namespace: readonly string[];
  status: NamespaceStatus;
  graphName: string;
}

/** Follows the nested graphs of one run, and nodes that emit events of their own (docs/wire/langgraph-api.md §4.4 `lifecycle`). */
export interface Namespaces {
  /** Something is about to come from this namespace: it, and all around it, have started. */
  observe(namespace: readonly string[]): void;
  /** A task of the graph in `namespace` starts, or is done: what `tasks` streams. Called after the event itself. */
  task(namespace: readonly string[], payload: unknown): void;
  /** A tool runs in this namespace, or has ended. */
  tool(namespace: readonly string[], toolCallId: string, isOver: boolean): void;
  /** The run is over: what is still under way ends like it. */
  end(status: "completed" | "failed" | "interrupted"): void;
}

export function createNamespaces(options: {
  readonly onChange: (change: NamespaceChange) => void;
  /** Name of the agent in a namespace, where it has one. */
  readonly agentName: (namespace: readonly string[]) => string | undefined;
}): Namespaces {
  const { onChange, agentName } = options;
  const known = new Map<string, Known>();
  /** Task → the tool call that its input is. */
  const toolCallOf = new Map<string, string>();
  /** Namespace → the tools that run in it. */
  const running = new Map<string, Set<string>>();

  const change = (entry: Known, status: NamespaceStatus, more: { toolCallId?: string; error?: string } = {}): void => {
    entry.status = status;
    onChange({ namespace: entry.namespace, status, graphName: entry.graphName, ...more });
  };

  const start = (namespace: readonly string[]): void => {
    const key = namespace.join("|");
    const graphName = agentName(namespace) ?? nameOf(namespace);
    const entry = known.get(key);
    if (entry === undefined) {
      const fresh: Known = { namespace, status: "started", graphName };
      known.set(key, fresh);
      change(fresh, "started", causeOf(namespace));
    } else if (entry.graphName !== graphName) {
      // Its first events came from the tool around it.
      entry.graphName = graphName;
      if (isUnderWay(entry)) change(entry, "running", causeOf(namespace));
    }
  };

  const causeOf = (namespace: readonly string[]): { toolCallId?: string } => {
    const segment = namespace.at(-1) ?? "";
    const ofTask = toolCallOf.get(segment.slice(segment.indexOf(":") + 1));
    const tools = running.get(namespace.join("|"));
    // Of several at once nobody can tell which one it was.
    const toolCallId = ofTask ?? (tools?.size === 1 ? [...tools][0] : undefined);
    return toolCallId === undefined ? {} : { toolCallId };
  };

  /** Innermost first. */
  const finish = (root: readonly string[], status: NamespaceStatus, error?: string): void => {
    const under = [...known.values()].filter((entry) => isUnderWay(entry) && hasPrefix(entry.namespace, root));
    under.sort((a, b) => b.namespace.length - a.namespace.length);
    for (const entry of under) {
      change(entry, status, error !== undefined && entry.namespace.length === root.length ? { error } : {});
    }
  };

  return {
    observe(namespace) {
      for (let length = 1; length <= namespace.length; length += 1) start(namespace.slice(0, length));
    },
    task(namespace, payload) {
      if (!isFields(payload)) return;
      const id = textOf(payload, "id");
      const name = textOf(payload, "name");
      if (id === undefined || name === undefined) return;
      if (!isTaskResult(payload)) {
        const toolCallId = toolCallIn(payload["input"]);
        if (toolCallId !== undefined) toolCallOf.set(id, toolCallId);
        // A graph that is called again under the same namespace (`checkpointer: true`).
        const own = known.get(namespace.join("|"));
        if (own !== undefined && !isUnderWay(own)) change(own, "started");
        return;
      }
      toolCallOf.delete(id);
      // A graph with a checkpointer of its own has no task in its namespace.
      for (const segment of [`${name}:${id}`, name]) {
        const child = [...namespace, segment];
        if (known.has(child.join("|"))) finish(child, ...statusOf(payload));
      }
    },
    tool(namespace, toolCallId, isOver) {
      const key = namespace.join("|");
      const tools = running.get(key) ?? new Set();
      running.set(key, tools);
      if (!isOver) tools.add(toolCallId);
      else if (tools.delete(toolCallId) && tools.size === 0) running.delete(key);
    },
    end: (status) => finish([], status),
  };
}

const isUnderWay = (entry: Known): boolean => entry.status === "started" || entry.status === "running";

function statusOf(payload: Fields): [NamespaceStatus, string?] {
  const { error, interrupts } = payload;
  if (error !== undefined && error !== null)
    return ["failed", isFields(error) ? (textOf(error, "message") ?? TASK_FAILED) : label(error, TASK_FAILED)];
  return [Array.isArray(interrupts) && interrupts.length > 0 ? "interrupted" : "completed"];
}

/** `createAgent` sends each call to a task of its own, as `{tool_call}`, or the calls as a list. */
function toolCallIn(input: unknown): string | undefined {
  const call: unknown = Array.isArray(input) ? input[0] : isFields(input) ? input["tool_call"] : undefined;
  return isFields(call) ? textOf(call, "id") : undefined;
}

function nameOf(namespace: readonly string[]): string {
  const segment = namespace.at(-1) ?? "";
  const end = segment.indexOf(":");
  return end < 0 ? segment : segment.slice(0, end);
}

function hasPrefix(namespace: readonly string[], prefix: readonly string[]): boolean {
  return prefix.every((segment, place) => namespace[place] === segment);
}
