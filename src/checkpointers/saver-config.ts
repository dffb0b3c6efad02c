import type { RunnableConfig } from "@langchain/core/runnables";
import { HeddleError } from "../core/errors.js";

/** A checkpoint as `config.configurable` addresses it. */
export interface CheckpointKey {
  readonly threadId: string;
  readonly checkpointNs: string;
  readonly checkpointId: string | undefined;
}

type Configurable = Readonly<Record<string, unknown>> | undefined;

/**
 * Where a put goes.
 * @throws HeddleError `INVALID_REQUEST` when `thread_id` is missing, or something is not a string.
 */
export function putKey(config: RunnableConfig): CheckpointKey {
  const key = readKey(config);
  if (key === undefined) throw missing("thread_id");
  return key;
}

/** Where pending writes go: like {@link putKey}, and `checkpoint_id` is required. */
export function writesKey(config: RunnableConfig): CheckpointKey & { readonly checkpointId: string } {
  const { checkpointId, ...key } = putKey(config);
  if (checkpointId === undefined) throw missing("checkpoint_id");
  return { ...key, checkpointId };
}

/** What to read; `undefined` without a thread. An empty `checkpoint_id` means the newest. */
export function readKey(config: RunnableConfig): CheckpointKey | undefined {
  const configurable = config.configurable as Configurable;
  const threadId = text(configurable, "thread_id");
  if (threadId === undefined) return undefined;
  return {
    threadId,
    checkpointNs: text(configurable, "checkpoint_ns") ?? "",
    checkpointId: idIn(configurable),
  };
}

/** What to list: absent fields don't narrow. */
export function listKey(config: RunnableConfig): {
  readonly threadId: string | undefined;
  readonly checkpointNs: string | undefined;
  readonly checkpointId: string | undefined;
} {
  const configurable = config.configurable as Configurable;
  return {
    threadId: text(configurable, "thread_id"),
    checkpointNs: text(configurable, "checkpoint_ns"),
    checkpointId: idIn(configurable),
  };
}

/** `checkpoint_id` of a `before` config. */
export function beforeId(config: RunnableConfig | undefined): string | undefined {
  return idIn(config?.configurable as Configurable);
}

/** The config that addresses a stored checkpoint. */
export function configOf(threadId: string, checkpointNs: string, id: string): RunnableConfig {
  return { configurable: { thread_id: threadId, checkpoint_ns: checkpointNs, checkpoint_id: id } };
}

function idIn(configurable: Configurable): string | undefined {
  // `thread_ts` is the name of old versions, which LangGraph still reads.
  return text(configurable, "checkpoint_id") || text(configurable, "thread_ts") || undefined;
}

function text(configurable: Configurable, name: string): string | undefined {
  const value = configurable?.[name];
  if (typeof value === "string") return value;
  if (value === undefined || value === null) return undefined;
  throw new HeddleError("INVALID_REQUEST", {
    message: `config.configurable.${name} must be a string, not ${Array.isArray(value) ? "an array" : typeof value}.`,
    details: { field: name },
  });
}

function missing(name: string): HeddleError {
  return new HeddleError("INVALID_REQUEST", {
    message: `config.configurable.${name} is missing: a checkpointer needs it to know where to save. Pass { configurable: { ${name}: "…" } }.`,
    details: { field: name },
  });
}
