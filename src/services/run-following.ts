import { ALL_ROWS } from "../core/auth.js";
import { HeddleError } from "../core/errors.js";
import type { EventCursor, EventLog, EventPosition } from "../core/event-log.js";
import type { Logger } from "../core/logger.js";
import { lastEvent } from "../core/run-event.js";
import { isTerminal } from "../core/run-lifecycle.js";
import type { RunRef } from "../core/run.js";
import { type FollowDeps, FollowedCursor } from "./followed-cursor.js";
import { createRunEndings, type RunEndings } from "./run-endings.js";
import type { FollowedRun } from "./run-result.js";

/** Following runs that any process may execute, with or without their event logs. */
export interface RunFollowing {
  readonly endings: RunEndings;
  /**
   * A reader of a run's events that comes to an end even when the log is lost, or was never there.
   * @returns `null` when what the reader wants is no longer kept: the run has ended, or its log was lost
   */
  follow(run: FollowedRun, position: EventPosition, options?: FollowOptions): Promise<EventCursor | null>;
  /**
   * Resolves when the run has ended, whoever executes it.
   * @throws the signal's reason; `SHUTTING_DOWN` when the server closes first
   */
  ended(run: RunRef, signal?: AbortSignal): Promise<void>;
}

/** `patient`: as {@link EventLog.open} takes it. */
export type FollowOptions = Parameters<EventLog["open"]>[2];

export function createRunFollowing(
  deps: Omit<FollowDeps, "endings"> & { readonly eventLog: EventLog; readonly logger: Logger },
): RunFollowing {
  const { store, eventLog, logger, closing } = deps;
  const endings = createRunEndings(deps);
  const followDeps = { ...deps, endings };

  const open = async (run: RunRef, position: EventPosition, options: FollowOptions): Promise<EventCursor | null> => {
    const cursor = await eventLog.open(run, position, options);
    return cursor === null ? null : new FollowedCursor(followDeps, run, cursor);
  };

  /** @returns whether the log has told of the end */
  const readToEnd = async (run: RunRef, signal: AbortSignal | undefined): Promise<boolean> => {
    const cursor = await open(run, "now", { patient: true });
    if (cursor === null) return false;
    try {
      while ((await cursor.next(signal)).kind !== "end");
      return true;
    } finally {
      cursor.close();
    }
  };

  const followLog = async (
    run: FollowedRun,
    position: EventPosition,
    options: FollowOptions,
  ): Promise<EventCursor | null> => {
    const cursor = await open(run, position, options);
    if (cursor !== null || isTerminal(run.status)) return cursor;
    // Whoever has read events before had a log: it was lost, and its events with it.
    if (typeof position === "object" && position.afterSeq >= 0) return null;
    // Made by a process that died before the log knew of the run, or lost: what comes from now on can be seen.
    await eventLog.begin(run, { resumable: run.kwargs.streamResumable ?? false });
    const row = await store.runs.get({ runId: run.runId, access: ALL_ROWS });
    // A stateless run is deleted when it has ended: how it ended was in its log.
    if (row === null && run.kwargs.temporary) return new FollowedCursor(followDeps, run, null);
    // It ended, or was deleted with its thread, since it was looked up.
    if (row === null || isTerminal(row.status)) await eventLog.seal(run, [lastEvent(run.runId, row)]);
    return (await open(run, position, options)) ?? new FollowedCursor(followDeps, run, null);
  };

  return {
    endings,
    async follow(run, position, options) {
      try {
        return await followLog(run, position, options);
      } catch (error) {
        // The storage itself is away: that is what the client is told.
        await store.ping();
        logger.warn({ err: error, ...refOf(run) }, "the event log failed; looking at the run itself");
        return isTerminal(run.status) ? null : new FollowedCursor(followDeps, run, null);
      }
    },
    async ended(run, signal) {
      try {
        if (await readToEnd(run, signal)) {
          if (closing?.aborted === true) throw new HeddleError("SHUTTING_DOWN");
          return;
        }
      } catch (error) {
        if (signal?.aborted === true || closing?.aborted === true) throw error;
        logger.warn({ err: error, ...refOf(run) }, "the event log failed; looking at the run itself");
      }
      await endings.ended(run, signal);
    },
  };
}

function refOf({ runId, threadId }: RunRef): RunRef {
  return { runId, threadId };
}
