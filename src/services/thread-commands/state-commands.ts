import type { Caller } from "../../core/auth.js";
import { HeddleError, isHeddleError } from "../../core/errors.js";
import type { JsonObject, JsonText } from "../../core/json.js";
import { isJsonObject, parseJsonText, toJsonText } from "../../core/json.js";
import type { ThreadState } from "../../core/state.js";
import type { ThreadStateService } from "../thread-state.js";

/** Answer of `state.get`. */
export interface StateOfNamespace {
  readonly values: JsonText;
  /** `null` for a thread that never ran. */
  readonly checkpoint: { readonly id: string; readonly ns: string } | null;
}

export interface CheckpointSummary {
  readonly id: string;
  /** ISO 8601. */
  readonly timestamp: string;
  readonly step: number;
  /** The one node that made it; absent for an input, an update and several nodes. */
  readonly nodeName?: string;
  readonly metadata: JsonObject;
}

/** Commands that read state (docs/wire/langgraph-api.md §4.3.3, §4.3). */
export function createStateCommands(deps: { readonly state: ThreadStateService }) {
  const { state } = deps;

  const read = async (caller: Caller, threadId: string, namespace: readonly string[]): Promise<ThreadState> => {
    if (namespace.length === 0) return state.get(caller, threadId, { subgraphs: false });
    const checkpointNs = namespace.join("|");
    const found = await orNull(state.get(caller, threadId, { checkpoint: { checkpointNs }, subgraphs: false }));
    if (found !== null && found.createdAt !== null) return found;
    throw new HeddleError("NAMESPACE_NOT_FOUND", { message: `The thread has no state of ${toJsonText(namespace)}` });
  };

  return {
    /**
     * The latest state of a namespace.
     * @param query.keys only these keys of it
     * @throws `THREAD_NOT_FOUND`, `NAMESPACE_NOT_FOUND`
     */
    async get(
      caller: Caller,
      threadId: string,
      query: { readonly namespace: readonly string[]; readonly keys?: readonly string[] },
    ): Promise<StateOfNamespace> {
      const { values, checkpoint, createdAt } = await read(caller, threadId, query.namespace);
      const id = createdAt === null ? null : (checkpoint?.checkpointId ?? null);
      return {
        values: query.keys === undefined ? values : pick(values, query.keys),
        checkpoint: id === null ? null : { id, ns: checkpoint?.checkpointNs ?? "" },
      };
    },

    /**
     * Checkpoints of a namespace, newest first.
     * @param query.before a checkpoint's id: only older ones
     */
    async list(
      caller: Caller,
      threadId: string,
      query: { readonly namespace: readonly string[]; readonly limit: number; readonly before?: string },
    ): Promise<readonly CheckpointSummary[]> {
      const { namespace, limit, before } = query;
      const states = await state.history(caller, threadId, {
        // One more: the nodes that made a checkpoint are the next ones of the one before it.
        limit: limit + 1,
        ...(before === undefined ? {} : { before: { checkpointId: before } }),
        ...(namespace.length === 0 ? {} : { checkpoint: { checkpointNs: namespace.join("|") } }),
      });
      return states.slice(0, limit).flatMap((entry) => summaryOf(entry, states) ?? []);
    },

    /** @throws `THREAD_NOT_FOUND`, `CHECKPOINT_NOT_FOUND` */
    async requireCheckpoint(caller: Caller, threadId: string, checkpointId: string): Promise<void> {
      const found = await orNull(state.get(caller, threadId, { checkpoint: { checkpointId }, subgraphs: false }));
      if (found !== null && found.createdAt !== null) return;
      throw new HeddleError("CHECKPOINT_NOT_FOUND", { message: `The thread has no checkpoint ${checkpointId}` });
    },
  };
}

/** `null` for what LangGraph refuses to read, because it is not there. */
async function orNull(reading: Promise<ThreadState>): Promise<ThreadState | null> {
  try {
    return await reading;
  } catch (error) {
    if (isHeddleError(error)) throw error;
    return null;
  }
}

function summaryOf(entry: ThreadState, states: readonly ThreadState[]): CheckpointSummary | null {
  const id = entry.checkpoint?.checkpointId;
  if (id === undefined || id === null || entry.createdAt === null) return null;
  const metadata = entry.metadata === null ? {} : parseJsonText(entry.metadata);
  if (!isJsonObject(metadata)) return null;
  const parentId = entry.parentCheckpoint?.checkpointId;
  const parent = states.find((other) => other.checkpoint?.checkpointId === parentId);
  const [nodeName, ...others] = metadata["source"] === "loop" ? (parent?.next ?? []) : [];
  return {
    id,
    timestamp: entry.createdAt,
    step: typeof metadata["step"] === "number" ? metadata["step"] : -1,
    ...(nodeName !== undefined && others.length === 0 && nodeName !== "__start__" && { nodeName }),
    metadata,
  };
}

function pick(values: JsonText, keys: readonly string[]): JsonText {
  const parsed = parseJsonText(values);
  if (!isJsonObject(parsed)) return values;
  return toJsonText(
    Object.fromEntries(keys.filter((key) => Object.hasOwn(parsed, key)).map((key) => [key, parsed[key]])),
  );
}
