import type { ConfigProblem } from "./problem.js";

/** True for a URI whose data ends with the process: `memory:`, `sqlite:` and `sqlite::memory:`. */
export function isEphemeralUri(uri: string): boolean {
  return /^memory:/i.test(uri) || /^sqlite:(?:\/\/)?\/?(?::memory:)?$/i.test(uri);
}

/**
 * The guard against half a memory: durable checkpoints beside threads and runs that a restart forgets, or the reverse,
 * leave threads without state or state without threads (design §3). Ask again once drivers are open and say for sure
 * whether they are durable.
 * @returns `null` when both survive, both end with the process, or `allowEphemeral` accepts it
 */
export function splitBrainProblem(params: {
  readonly storageDurable: boolean;
  readonly checkpointerDurable: boolean;
  readonly allowEphemeral: boolean;
}): ConfigProblem | null {
  if (params.allowEphemeral || params.storageDurable === params.checkpointerDurable) return null;
  const message = params.checkpointerDurable
    ? "is durable, but `storage` is in memory: a restart would keep checkpoints and forget their threads. Give `storage` a durable URI, or set allowEphemeral: true."
    : "is in memory, but `storage` is durable: a restart would keep threads and forget their state. Leave it out to use `storage`, or set allowEphemeral: true.";
  return { code: "CONFIG_INVALID", field: "checkpointer", message };
}
