import type { RunnableConfig } from "@langchain/core/runnables";
import type { BaseCheckpointSaver, CheckpointListOptions, CheckpointTuple } from "@langchain/langgraph-checkpoint";
import { randomUUID } from "node:crypto";
import type * as Vitest from "vitest";
import type { Checkpointer } from "../../core/checkpointer.js";
import type { RunLease } from "../../core/run.js";

/** A checkpointer under test. */
export interface OpenedCheckpointer {
  readonly checkpointer: Checkpointer;
  /** Closes everything that `open` made, the checkpointer too. */
  close(): Promise<void>;
  /** Durable ones: close the checkpointer and open the same storage again. The suite's `close` still ends it. */
  readonly reopen?: () => Promise<Checkpointer>;
  /** Checkpointers that share their database with the run row. */
  readonly leases?: {
    /** Make a running run that is held by this lease. */
    hold(lease: RunLease, threadId: string): Promise<void>;
    /** Let another worker take it over. */
    lose(lease: RunLease): Promise<void>;
  };
}

export interface CheckpointerSuite {
  readonly name: string;
  readonly vitest: Pick<typeof Vitest, "describe" | "it" | "expect">;
  /** How many checkpoints the longest list has: fewer for a slow server. A multiple of 20. Default 1,000. */
  readonly listLength?: number;
  /** False for savers that answer `prune` and `storage` with `NOT_SUPPORTED`. Default true */
  readonly prunes?: boolean;
  /** A fresh, empty checkpointer. */
  open(): Promise<OpenedCheckpointer>;
}

/** What a case gets. */
export interface CheckpointerFixture extends OpenedCheckpointer {
  readonly saver: BaseCheckpointSaver;
}

export type WithCheckpointer = (test: (fixture: CheckpointerFixture) => Promise<void>) => () => Promise<void>;

export function withCheckpointer(suite: CheckpointerSuite): WithCheckpointer {
  return (test) => async () => {
    const opened = await suite.open();
    try {
      await test({ ...opened, saver: opened.checkpointer.saver as BaseCheckpointSaver });
    } finally {
      await opened.close();
    }
  };
}

/** Puts a chain of checkpoints with ids that grow. */
export interface Chain {
  readonly threadId: string;
  readonly ids: readonly string[];
  /** Config of the newest, or of one by its place. */
  config(at?: number): RunnableConfig;
  /** @param changed channels that have a new value; the others keep theirs */
  put(changed: Record<string, unknown>, options?: PutOptions): Promise<RunnableConfig>;
}

export interface PutOptions {
  readonly metadata?: Record<string, unknown>;
  /** Parent by its place; default the newest. */
  readonly parent?: number;
  readonly configurable?: Record<string, unknown>;
  /** Channels that have a new version and no value, as DeltaChannels between two snapshots. */
  readonly silent?: readonly string[];
}

interface ChainState {
  readonly values: Record<string, unknown>;
  readonly versions: Record<string, number>;
}

export function chainOf(saver: BaseCheckpointSaver, threadId: string = randomUUID(), checkpointNs = ""): Chain {
  const ids: string[] = [];
  const states: ChainState[] = [];
  const config = (at = ids.length - 1): RunnableConfig => ({
    configurable: {
      thread_id: threadId,
      checkpoint_ns: checkpointNs,
      ...(ids[at] === undefined ? {} : { checkpoint_id: ids[at] }),
    },
  });
  return {
    threadId,
    ids,
    config,
    async put(changed, { metadata = {}, parent = ids.length - 1, configurable = {}, silent = [] } = {}) {
      const before = states[parent] ?? { values: {}, versions: {} };
      const newVersions = Object.fromEntries(
        [...Object.keys(changed), ...silent].map((channel) => [channel, (before.versions[channel] ?? 0) + 1]),
      );
      const kept = Object.entries(before.values).filter(([channel]) => !silent.includes(channel));
      const state = {
        values: { ...Object.fromEntries(kept), ...changed },
        versions: { ...before.versions, ...newVersions },
      };
      const at = config(parent);
      const id = nextId();
      const saved = await saver.put(
        { configurable: { ...at.configurable, ...configurable } },
        {
          v: 4,
          id,
          ts: new Date(0).toISOString(),
          channel_values: state.values,
          channel_versions: state.versions,
          versions_seen: { __input__: {}, node: { ...before.versions } },
        },
        { source: "loop", step: ids.length, parents: {}, ...metadata },
        newVersions,
      );
      ids.push(id);
      states.push(state);
      return saved;
    },
  };
}

/** Ids in the shape and order of uuid v6. */
function nextId(): string {
  const now = process.hrtime.bigint().toString(16).padStart(16, "0");
  return `1f${now.slice(0, 6)}-${now.slice(6, 10)}-6${now.slice(10, 13)}-8${now.slice(13, 16)}-${randomUUID().slice(24)}`;
}

/** The tuple at a config, which must exist. */
export async function read(saver: BaseCheckpointSaver, config: RunnableConfig): Promise<CheckpointTuple> {
  const tuple = await saver.getTuple(config);
  if (tuple === undefined) throw new Error(`no checkpoint at ${JSON.stringify(config.configurable)}`);
  return tuple;
}

export async function listOf(
  saver: BaseCheckpointSaver,
  config: RunnableConfig,
  options?: CheckpointListOptions,
): Promise<CheckpointTuple[]> {
  const tuples: CheckpointTuple[] = [];
  for await (const tuple of saver.list(config, options)) tuples.push(tuple);
  return tuples;
}

export const threadConfig = (threadId: string): RunnableConfig => ({ configurable: { thread_id: threadId } });

export const idsOf = (tuples: readonly CheckpointTuple[]): string[] => tuples.map((tuple) => tuple.checkpoint.id);
