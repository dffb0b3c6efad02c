import type { StateSnapshot } from "@langchain/langgraph";
import type { FinalState } from "../../core/engine.js";
import type { JsonObject, JsonText } from "../../core/json.js";
import type { CheckpointAddress, StateTask, ThreadState } from "../../core/state.js";
import { taskErrorText } from "../execution/describe-error.js";
import { serialize } from "../streams/serialize.js";
import type { Fields } from "../streams/shapes.js";

type Task = StateSnapshot["tasks"][number];

/** LangGraph's snapshot of a thread → core's (docs/wire/langgraph-api.md §2.2 ThreadState). */
export function toThreadState(snapshot: StateSnapshot): ThreadState {
  return {
    values: serialize(snapshot.values),
    next: nextNodes(snapshot),
    tasks: snapshot.tasks.map(toTask),
    metadata: metadataText(snapshot.metadata),
    createdAt: snapshot.createdAt ?? null,
    checkpoint: address(snapshot.config),
    parentCheckpoint: address(snapshot.parentConfig),
  };
}

/** True when there is a checkpoint behind the snapshot. */
function exists(snapshot: StateSnapshot): boolean {
  return snapshot.createdAt !== undefined;
}

/** What the thread row keeps of the last checkpoint; nothing is known without one. */
export function toFinalState(snapshot: StateSnapshot): FinalState {
  if (!exists(snapshot)) return { hasNext: false };
  return {
    values: serialize(snapshot.values),
    interrupts: serialize(Object.fromEntries(snapshot.tasks.map((task) => [task.id, task.interrupts ?? []]))),
    hasNext: nextNodes(snapshot).length > 0,
  };
}

/**
 * Names of the nodes to run next. LangGraph takes a node that was answered once and asked again for done, because the
 * answer is stored as one of its writes (langgraph 1.7.3, `_prepareStateSnapshot` with a RESUME write): the thread would
 * look idle while it waits.
 */
function nextNodes(snapshot: StateSnapshot): readonly string[] {
  if (snapshot.next.length > 0) return snapshot.next;
  return snapshot.tasks
    .filter((task) => task.interrupts.length > 0 && task.result === undefined)
    .map(({ name }) => name);
}

/** `{thread_id, checkpoint_ns, checkpoint_id, checkpoint_map?}` of a config: what `updateState` answers. */
export function checkpointConfigurable(config: { readonly configurable?: Fields } | undefined): JsonObject {
  const configurable = config?.configurable ?? {};
  const { thread_id, checkpoint_ns, checkpoint_id, checkpoint_map } = configurable as JsonObject;
  return {
    thread_id,
    checkpoint_ns: checkpoint_ns ?? "",
    checkpoint_id,
    ...(checkpoint_map === undefined ? {} : { checkpoint_map }),
  };
}

function toTask(task: Task): StateTask {
  const state = task.state as Fields | undefined;
  const nested = state !== undefined && "values" in state;
  const error = taskErrorText(task.error);
  return {
    id: task.id,
    name: task.name,
    path: serialize(task.path ?? []),
    error: error === null ? null : serialize(error),
    interrupts: serialize(task.interrupts ?? []),
    checkpoint: state === undefined || nested ? null : serialize(publicKeys(state["configurable"])),
    state: nested ? toThreadState(state as unknown as StateSnapshot) : null,
    result: task.result === undefined ? null : serialize(task.result),
  };
}

function publicKeys(configurable: unknown): unknown {
  if (typeof configurable !== "object" || configurable === null) return null;
  return Object.fromEntries(Object.entries(configurable).filter(([key]) => !key.startsWith("__")));
}

function metadataText(metadata: unknown): JsonText | null {
  if (typeof metadata !== "object" || metadata === null) return null;
  if ((metadata as Fields)["checkpoint_ns"] !== "") return serialize(metadata);
  const { checkpoint_ns: _, ...rest } = metadata as Fields;
  return serialize(rest);
}

/** Of a thread without checkpoints nothing is addressed; an unknown checkpoint id is echoed (§2.4.8). */
function address(config: { readonly configurable?: Fields } | undefined): CheckpointAddress | null {
  const configurable = config?.configurable;
  if (configurable === undefined || typeof configurable["checkpoint_id"] !== "string") return null;
  return {
    threadId: String(configurable["thread_id"]),
    checkpointNs: typeof configurable["checkpoint_ns"] === "string" ? configurable["checkpoint_ns"] : "",
    checkpointId: configurable["checkpoint_id"],
    checkpointMap: (configurable["checkpoint_map"] ?? null) as JsonObject | null,
  };
}
