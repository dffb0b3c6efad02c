import type { BaseCheckpointSaver, CheckpointTuple } from "@langchain/langgraph-checkpoint";
import type { Run } from "../../core/run.js";
import type { PregelLike } from "../graph-source.js";

/** Where a run stands when a worker takes it up. */
export type Recovery =
  /** Nothing of it is stored: it starts with its input. */
  | "start"
  /** An earlier attempt has left checkpoints: go on from the last one, the input has been applied. */
  | "continue"
  /** An earlier attempt had stopped at a breakpoint and died before it could say so. */
  | "stopped";

/**
 * What an earlier attempt of the run has left (design: what a crash can repeat follows `durability`).
 * @param graph bound to `saver`
 */
export async function recoverRun(graph: PregelLike, saver: BaseCheckpointSaver, run: Run): Promise<Recovery> {
  if (run.attempt <= 1 || run.kwargs.temporary) return "start";
  const root = { configurable: { thread_id: run.threadId, checkpoint_ns: "" } };
  const latest = await saver.getTuple(root);
  if (latest === undefined || runIdOf(latest) !== run.runId) return "start";
  return (await stoppedAtBreakpoint(graph, saver, run, latest)) ? "stopped" : "continue";
}

/**
 * LangGraph takes a continued run past the breakpoint it stands at: it cannot know that nobody has approved it yet.
 */
async function stoppedAtBreakpoint(
  graph: PregelLike,
  saver: BaseCheckpointSaver,
  run: Run,
  latest: CheckpointTuple,
): Promise<boolean> {
  const before = run.kwargs.interruptBefore ?? graph.interruptBefore;
  const after = run.kwargs.interruptAfter ?? graph.interruptAfter;
  // A command moves the cursor past breakpoints before its own checkpoint is stored.
  const source = latest.metadata?.source;
  const stops = source === "loop" || (source === "input" && run.kwargs.command === undefined);
  if (!stops || (!isSet(before) && !isSet(after))) return false;
  const { next } = await graph.getState(latest.config);
  if (next.length === 0) return false;
  if (next.some((node) => matches(before, node))) return true;
  if (!isSet(after) || source !== "loop" || latest.parentConfig === undefined) return false;
  const parent = await saver.getTuple(latest.parentConfig);
  const seenBefore = parent?.checkpoint.versions_seen ?? {};
  return Object.entries(latest.checkpoint.versions_seen).some(
    ([node, seen]) => matches(after, node) && JSON.stringify(seen) !== JSON.stringify(seenBefore[node]),
  );
}

type Breakpoints = "*" | readonly PropertyKey[] | undefined;

const isSet = (names: Breakpoints): boolean => names !== undefined && names.length > 0;

/** `*` means every node, which LangGraph's hidden ones (`__start__`) are not. */
const matches = (names: Breakpoints, node: string): boolean =>
  names === "*" ? !node.startsWith("__") : (names?.includes(node) ?? false);

function runIdOf(tuple: CheckpointTuple): unknown {
  return (tuple.metadata as { readonly run_id?: unknown } | undefined)?.run_id;
}
