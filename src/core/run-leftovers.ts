import type { Checkpointer } from "./checkpointer.js";
import { isHeddleError } from "./errors.js";
import type { Logger } from "./logger.js";
import type { RunRef } from "./run.js";

/**
 * Remove checkpoints and writes that a run's worker wrote after the run, or its thread, was deleted. Only this run's: a thread of the
 * same id may have been made again, and its checkpoints are others'. A saver that cannot remove single checkpoints
 * (`UNSUPPORTED_OPTION`) leaves them there, and the log says so.
 * @throws what the checkpointer throws when its database is away
 */
export async function removeRunLeftovers(
  deps: { readonly checkpointer: Checkpointer; readonly logger: Logger },
  { runId, threadId }: RunRef,
): Promise<void> {
  try {
    await deps.checkpointer.deleteRun({ threadId, runId, strays: true });
  } catch (error) {
    if (!isHeddleError(error) || error.code !== "UNSUPPORTED_OPTION") throw error;
    deps.logger.warn({ err: error, runId, threadId }, "checkpoints of a deleted run are left in its thread");
  }
}
