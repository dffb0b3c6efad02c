import type { AccessFilter, Caller } from "../core/auth.js";
import { ALL_ROWS } from "../core/auth.js";
import type { Clock } from "../core/clock.js";
import type { EventCursor, EventLog, EventPosition, LogExtent } from "../core/event-log.js";
import type { Logger } from "../core/logger.js";
import type { MetadataStore } from "../core/metadata-store.js";
import { threadLogOf } from "../core/thread-event.js";
import type { Authorize } from "./authorization.js";
import type { FollowedThreads } from "./followed-threads.js";
import { ThreadCursor } from "./thread-cursor.js";
import { createThreadSnapshot } from "./thread-snapshot.js";
import type { ThreadStateService } from "./thread-state.js";

/** Following what happens on a thread, run after run (docs/wire/langgraph-api.md part 4). */
export type ThreadEventsService = ReturnType<typeof createThreadEventsService>;

export interface ThreadEventsDeps {
  readonly store: MetadataStore;
  readonly eventLog: EventLog;
  readonly state: Pick<ThreadStateService, "get">;
  readonly followed: FollowedThreads;
  readonly authorize: Authorize;
  readonly unaudited: Authorize;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly closing?: AbortSignal;
}

/** How often a log that vanishes between being found and being opened is begun again. */
const OPEN_ATTEMPTS = 5;

export function createThreadEventsService(deps: ThreadEventsDeps) {
  const { store, eventLog, authorize, followed } = deps;
  const snapshotOf = createThreadSnapshot(deps);

  const isVisible = async (threadId: string, access: AccessFilter): Promise<boolean> =>
    (await store.threads.get({ threadId, access })) !== null;

  /** A run in flight is about to tell of itself. */
  const isAtRest = async (threadId: string, access: AccessFilter): Promise<boolean> => {
    const thread = await store.threads.get({ threadId, access });
    return thread !== null && thread.status !== "busy";
  };

  /** A reader that begins at the first kept event is not told of what was evicted before it. */
  const hasMissedState = async (reader: {
    readonly threadId: string;
    readonly access: AccessFilter;
    readonly extent: LogExtent | null;
    readonly isEmpty: boolean;
    readonly nextSeq: number;
  }): Promise<boolean> => {
    const { threadId, access, extent, isEmpty, nextSeq } = reader;
    if (extent !== null && extent.nextSeq > 0) {
      if (nextSeq >= extent.nextSeq) return false;
      return isEmpty || (nextSeq === 0 && extent.statesEvictedToSeq >= 0);
    }
    return nextSeq === 0 && isAtRest(threadId, access);
  };

  const open = async (threadId: string, position: EventPosition): Promise<EventCursor> => {
    const log = threadLogOf(threadId);
    for (let attempt = 1; ; attempt += 1) {
      const cursor = await eventLog.open(log, position);
      if (cursor !== null) return cursor;
      if (attempt > OPEN_ATTEMPTS) throw new Error(`The event log of thread ${threadId} cannot be opened`);
      await eventLog.begin(log, { lasting: true, resumable: true });
    }
  };

  return {
    /**
     * Follow a thread's events, of all its runs, from a position on; the thread need not be there yet. One that the caller may
     * not see is as one that is not there: nothing comes, and nothing ends. One that becomes hidden says nothing from its next run on. The cursor ends only when it is closed, the thread is
     * deleted, or the server closes.
     * @param options.showsValues whether the reader shows the root's `values`: then one that finds no events, or has missed
     *   state, gets the current state first. Asked whenever that happens
     * @throws `FORBIDDEN`
     */
    async follow(
      caller: Caller,
      threadId: string,
      options: { readonly position: EventPosition; readonly showsValues: () => boolean },
    ): Promise<ThreadCursor> {
      const { position } = options;
      const { access } = await authorize(caller, "threads", "read", { thread_id: threadId });
      const { exists, stop } = await followed.watch({ threadId, access });
      const isKnown = exists || access.kind === "all";
      const isGone = async (hasRun: boolean) => (exists || hasRun) && !(await isVisible(threadId, ALL_ROWS));
      const snapshot = async () => (options.showsValues() ? snapshotOf(caller, threadId) : null);
      let cursor: EventCursor | null = null;
      try {
        cursor = await open(threadId, position);
        // Asked last: to a cursor that is open, events that expire are a gap. What was gone before is told by the extent.
        const extent = isKnown ? await eventLog.extent(threadLogOf(threadId)) : null;
        const nextSeq = firstSeq(position);
        const newest = extent?.nextSeq ?? 0;
        // A log that holds nothing shows no gap, because no event follows it.
        const isEmpty = extent === null || extent.evictedToSeq >= newest - 1;
        const hasMissed = nextSeq !== null && (await hasMissedState({ threadId, access, extent, isEmpty, nextSeq }));
        return new ThreadCursor(
          {
            reopen: async (afterSeq, hasRun) => {
              if (deps.closing?.aborted === true) return null;
              // A thread that is gone was deleted; one that has not been there yet may still come. One that is hidden by now is
              // looked at by the cursor, which says nothing of it.
              if (await isGone(hasRun)) return null;
              return open(threadId, { afterSeq });
            },
            isGone,
            isVisible: () => isVisible(threadId, access),
            mayBecomeHidden: access.kind === "match",
            snapshot,
            clock: deps.clock,
            onClose: stop,
          },
          cursor,
          {
            nextSeq: hasMissed ? null : nextSeq,
            newestSeq: newest - 1,
            isBehind: !isEmpty && (nextSeq ?? newest) < newest,
            isVisible: isKnown,
            snapshot: exists && hasMissed ? await snapshot() : null,
          },
        );
      } catch (error) {
        stop();
        cursor?.close();
        throw error;
      }
    },

    /**
     * The number of the newest event of the thread's log on the wire: 0 when there is none, or none that the caller may see.
     * Said beside the result of a command, which is what the audit log has.
     * @throws `FORBIDDEN`
     */
    async lastSeq(caller: Caller, threadId: string): Promise<number> {
      const { access } = await deps.unaudited(caller, "threads", "read", { thread_id: threadId });
      if (access.kind === "match" && !(await isVisible(threadId, access))) return 0;
      return (await eventLog.extent(threadLogOf(threadId)))?.nextSeq ?? 0;
    },
  };
}

function firstSeq(position: EventPosition): number | null {
  if (position === "now") return null;
  return position === "start" ? 0 : Math.max(0, position.afterSeq + 1);
}
