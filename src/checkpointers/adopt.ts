import type { RunnableConfig } from "@langchain/core/runnables";
import type {
  BaseCheckpointSaver,
  CheckpointMetadata,
  CheckpointTuple,
  PendingWrite,
} from "@langchain/langgraph-checkpoint";
import type { Checkpointer, CheckpointsKept, Saver } from "../core/checkpointer.js";
import type { Cipher } from "../core/cipher.js";
import { HeddleError } from "../core/errors.js";
import { removableIds, runIdOf } from "./checkpoint-metadata.js";
import { keptIds, type LineageCheckpoint } from "./kept-checkpoints.js";
import { SealedSaver } from "./sealed-saver.js";

/** What RediSearch returns at most where it is managed. */
export const MAX_CHECKPOINTS = 10_000;

/** Methods of `BaseCheckpointSaver` that Heddle calls. */
const METHODS = ["getTuple", "list", "put", "putWrites", "deleteThread", "getNextVersion"] as const;

/**
 * Use any LangGraph saver that a user made. LangGraph's interface has neither copy nor deletion of single checkpoints, so
 * both are composed of `list`, `put`, `putWrites` and `deleteThread`:
 * - `copyThread` reads the thread, replaces the target, and writes oldest first. LangGraph's interface does not show
 *   `task_path`, so copied writes have none: their order among parallel tasks falls back to the task id.
 * - `deleteRun` of the thread's only run is `deleteThread`. With survivors it is refused (`UNSUPPORTED_OPTION`) before
 *   anything is changed: it would have to delete the thread and write the rest again, and a crash in between would lose
 *   the rest.
 * - `copyThread` with `keep` leaves out what a prune would; `prune` and `storage` are `NOT_SUPPORTED` (501).
 * The caller keeps ownership: `close` leaves the saver open.
 * @param options.durable whether checkpoints survive a restart; without it, true unless it is LangGraph's `MemorySaver`
 * @param options.cipher what it stores is sealed ({@link SealedSaver})
 * @throws HeddleError `CONFIG_INVALID` when `saver` lacks one of the methods.
 */
export function adoptSaver(
  saver: object,
  options: { readonly durable?: boolean; readonly cipher?: Cipher } = {},
): Checkpointer {
  // A second copy of LangGraph makes savers that are no instances of ours.
  const given = saver as BaseCheckpointSaver;
  const missing = METHODS.filter((name) => typeof (given as Partial<BaseCheckpointSaver>)[name] !== "function");
  if (missing.length > 0) {
    throw new HeddleError("CONFIG_INVALID", {
      message: `The checkpointer is not a LangGraph BaseCheckpointSaver: it lacks ${missing.join(", ")}. Pass a saver, or a URI.`,
      details: { missing },
    });
  }
  const { durable = given.constructor.name !== "MemorySaver", cipher } = options;
  const adopted = cipher === undefined ? given : new SealedSaver(given, cipher);
  return {
    saver: adopted as Saver,
    durable,
    fenced: false,
    deleteRun: (params) => deleteRun(adopted, given.constructor.name, params),
    deleteThread: (threadId) => adopted.deleteThread(threadId),
    copyThread: (params) => copyThread(adopted, params),
    prune: () => Promise.reject(notSupported(given.constructor.name, "remove single checkpoints")),
    storage: () => Promise.reject(notSupported(given.constructor.name, "say what a thread takes")),
    close: async () => {},
  };
}

/**
 * All checkpoints of a thread. The limit is said: RedisSaver (@langchain/langgraph-checkpoint-redis 1.0.11) gives ten without
 * one, and who takes them for all would delete or lose the others.
 * @throws HeddleError `UNSUPPORTED_OPTION` when there are more than the limit
 */
export async function tuplesOf(saver: BaseCheckpointSaver, threadId: string): Promise<CheckpointTuple[]> {
  const tuples: CheckpointTuple[] = [];
  const config = { configurable: { thread_id: threadId } };
  for await (const tuple of saver.list(config, { limit: MAX_CHECKPOINTS })) tuples.push(tuple);
  if (tuples.length < MAX_CHECKPOINTS) return tuples;
  throw new HeddleError("UNSUPPORTED_OPTION", {
    message:
      `Thread ${threadId} has ${MAX_CHECKPOINTS} checkpoints or more, which is too many to copy or remove through ` +
      `${saver.constructor.name}: use a checkpointer by URI (sqlite:, postgres:).`,
    details: { threadId },
  });
}

/** Parents come before their children: ids grow. */
export const oldestFirst = (tuples: readonly CheckpointTuple[]): readonly CheckpointTuple[] =>
  tuples.toSorted((a, b) => (a.checkpoint.id < b.checkpoint.id ? -1 : 1));

async function deleteRun(
  saver: BaseCheckpointSaver,
  name: string,
  { threadId, runId, strays = false }: Parameters<Checkpointer["deleteRun"]>[0],
): Promise<void> {
  const tuples = await tuplesOf(saver, threadId);
  const rows = tuples.map((tuple) => ({
    id: tuple.checkpoint.id,
    parentId: addressOf(tuple.parentConfig).checkpointId,
    delta: tuple.metadata !== undefined && "counters_since_delta_snapshot" in tuple.metadata,
    doomed: runIdOf(tuple.metadata ?? {}) === runId,
  }));
  const doomed = removableIds(rows);
  if (doomed.size === 0 && (rows.length > 0 || !strays)) return;
  if (doomed.size === rows.length) return saver.deleteThread(threadId);
  throw new HeddleError("UNSUPPORTED_OPTION", {
    message:
      `The checkpointer ${name} can't delete single checkpoints, so run ${runId} can't be removed from a thread that has ` +
      `others. Delete the thread, or use a checkpointer by URI (sqlite:, postgres:).`,
    details: { threadId, runId },
  });
}

/** LangGraph's interface has nothing to do it by, so that nobody is answered with what only seems to be right. */
function notSupported(name: string, what: string): HeddleError {
  return new HeddleError("NOT_SUPPORTED", {
    message: `The checkpointer ${name} cannot ${what}. Use a checkpointer by URI (sqlite:, postgres:, mongodb:).`,
  });
}

async function copyThread(
  saver: BaseCheckpointSaver,
  params: Parameters<Checkpointer["copyThread"]>[0],
): Promise<void> {
  const { fromThreadId: from, toThreadId: to, keep } = params;
  if (from === to) return;
  const all = await tuplesOf(saver, from);
  const tuples = keep === undefined ? all : keptTuples(all, keep);
  if (tuples.length === 0) return;
  await saver.deleteThread(to);
  for (const tuple of oldestFirst(tuples)) {
    const { checkpointNs } = addressOf(tuple.config);
    const metadata = renamed(tuple.metadata ?? {}, from, to) as CheckpointMetadata;
    const parent = configOf(to, checkpointNs, addressOf(tuple.parentConfig).checkpointId);
    const saved = await saver.put(parent, tuple.checkpoint, metadata, tuple.checkpoint.channel_versions);
    for (const { taskId, writes } of byTask(tuple)) await saver.putWrites(saved, writes, taskId);
  }
}

/** Of the tuples of a thread those that stay when it is pruned. */
function keptTuples(tuples: readonly CheckpointTuple[], keep: CheckpointsKept): readonly CheckpointTuple[] {
  const lineages = Map.groupBy(tuples, (tuple) => addressOf(tuple.config).checkpointNs);
  return [...lineages.values()].flatMap((lineage) => {
    const checkpoints = lineage.map(({ checkpoint, metadata, parentConfig }) => ({
      id: checkpoint.id,
      parentId: addressOf(parentConfig).checkpointId,
      metadata: (metadata ?? {}) as LineageCheckpoint["metadata"],
      v: checkpoint.v,
      stores: (channel: string) => Object.hasOwn(checkpoint.channel_values, channel),
      knows: (channel: string) => Object.hasOwn(checkpoint.channel_versions, channel),
    }));
    const ids = keptIds(checkpoints, keep);
    return lineage.filter(({ checkpoint }) => ids.has(checkpoint.id));
  });
}

function byTask(tuple: CheckpointTuple): readonly { readonly taskId: string; readonly writes: PendingWrite[] }[] {
  const tasks = new Map<string, PendingWrite[]>();
  for (const [taskId, channel, value] of tuple.pendingWrites ?? []) {
    const writes = tasks.get(taskId) ?? [];
    tasks.set(taskId, [...writes, [channel, value]]);
  }
  return [...tasks].map(([taskId, writes]) => ({ taskId, writes }));
}

function addressOf(config: RunnableConfig | undefined): {
  readonly checkpointNs: string;
  readonly checkpointId: string | undefined;
} {
  const configurable = config?.configurable as { checkpoint_ns?: string; checkpoint_id?: string } | undefined;
  return { checkpointNs: configurable?.checkpoint_ns ?? "", checkpointId: configurable?.checkpoint_id };
}

function configOf(threadId: string, checkpointNs: string, id: string | undefined): RunnableConfig {
  const key = { thread_id: threadId, checkpoint_ns: checkpointNs };
  return { configurable: id === undefined ? key : { ...key, checkpoint_id: id } };
}

/** Metadata is plain JSON: every string that equals the old thread id becomes the new one. */
function renamed(value: unknown, from: string, to: string): unknown {
  if (value === from) return to;
  if (Array.isArray(value)) return value.map((element) => renamed(element, from, to));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, renamed(field, from, to)]));
}
