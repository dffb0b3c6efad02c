import type { CheckpointsKept } from "../core/checkpointer.js";

/** What is known of a stored checkpoint when it is decided whether it stays. */
export interface LineageCheckpoint {
  readonly id: string;
  readonly parentId: string | undefined;
  /** Of its stored metadata; both keys are LangGraph's (@langchain/langgraph 1.7.3, channels/base.js). */
  readonly metadata: {
    readonly counters_since_delta_snapshot?: Readonly<Record<string, unknown>>;
    readonly delta_writes_versioned?: unknown;
  };
  /** Format of the checkpoint: those before 4 have their Sends among the writes of their parents. */
  readonly v: number;
  /** Whether it has a stored value of this channel, its own or one that it shares with an ancestor. */
  stores(channel: string): boolean;
  /** Whether it has a version of this channel. */
  knows(channel: string): boolean;
}

/**
 * Ids of the checkpoints of one thread and namespace that stay: the newest ones, and what these need of their ancestors.
 * A DeltaChannel without a value in a checkpoint is rebuilt from the writes of its ancestors up to the nearest one that has a value
 * (`deltaChannelsToReplay`, `getDeltaChannelHistory`), so all on this way stay.
 * @param checkpoints in any order
 */
export function keptIds(checkpoints: readonly LineageCheckpoint[], keep: CheckpointsKept): ReadonlySet<string> {
  const newestFirst = checkpoints.toSorted((a, b) => (a.id < b.id ? 1 : -1));
  const kept = newestFirst.slice(0, keep.kind === "latest" ? 1 : keep.count);
  const ids = new Set(kept.map(({ id }) => id));
  const byId = new Map(checkpoints.map((checkpoint) => [checkpoint.id, checkpoint]));
  const deltaChannels = deltaChannelsOf(checkpoints);
  for (const checkpoint of kept) {
    const parent = byId.get(checkpoint.parentId ?? "");
    if (checkpoint.v < 4 && parent !== undefined) ids.add(parent.id);
    for (const id of wayOf(checkpoint, deltaChannels, byId)) ids.add(id);
  }
  return ids;
}

/** Ancestors from which the delta channels of a checkpoint are rebuilt, the nearest first. */
function wayOf(
  checkpoint: LineageCheckpoint,
  deltaChannels: readonly string[],
  byId: ReadonlyMap<string, LineageCheckpoint>,
): readonly string[] {
  const isVersioned = checkpoint.metadata.delta_writes_versioned === true;
  let open = deltaChannels.filter(
    (channel) => !checkpoint.stores(channel) && (!isVersioned || checkpoint.knows(channel)),
  );
  const way = new Set<string>();
  let at = byId.get(checkpoint.parentId ?? "");
  while (at !== undefined && open.length > 0 && !way.has(at.id)) {
    const ancestor = at;
    way.add(ancestor.id);
    open = open.filter((channel) => !ancestor.stores(channel));
    at = byId.get(ancestor.parentId ?? "");
  }
  return [...way];
}

/**
 * Channels that are, or once were, DeltaChannels: their counters say so. A channel that a later version of the graph declares otherwise
 * is still rebuilt from its old writes.
 */
function deltaChannelsOf(checkpoints: readonly LineageCheckpoint[]): readonly string[] {
  const names = new Set<string>();
  for (const { metadata } of checkpoints) {
    for (const name of Object.keys(metadata.counters_since_delta_snapshot ?? {})) names.add(name);
  }
  return [...names];
}
