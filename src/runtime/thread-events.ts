import type { Clock } from "../core/clock.js";
import type { EventLog } from "../core/event-log.js";
import { isJsonObject, toJsonText } from "../core/json.js";
import type { Logger } from "../core/logger.js";
import type { MetadataStore } from "../core/metadata-store.js";
import type { NewRunEvent } from "../core/run-event.js";
import type { ClaimedRun, RunKwargs } from "../core/run.js";
import { type RootMark, rootLifecycle, threadEvent, threadLogOf, threadLogToken } from "../core/thread-event.js";
import { missingEnd, type RootEnd } from "./thread-log.js";

/** What one attempt of a run writes into the log of its thread. */
export interface ThreadEventWriter {
  /** Take the log over from whoever wrote it before, and say that the run is running. After the run's own log has begun. */
  begin(): Promise<void>;
  append(events: readonly NewRunEvent[]): void;
  /** Resolves when all of it is as durable as the log makes it. */
  flush(): Promise<void>;
  /** The row says that the run has ended: nothing comes after this. At once, because the thread's next run may begin now. */
  end(end: RootEnd): void;
  /** After {@link end}: all of it is stored, and kept for as long as a log is. */
  rest(): Promise<void>;
  /** The thread is gone. */
  drop(): Promise<void>;
}

/** @returns `null` when nobody watches the thread: then nothing is written, and nothing computed */
export function createThreadEventWriter(
  deps: {
    readonly store: MetadataStore;
    readonly eventLog: EventLog;
    readonly clock: Clock;
    readonly logger: Logger;
  },
  { run, watched }: ClaimedRun,
): ThreadEventWriter | null {
  if (!watched) return null;
  const { eventLog, clock } = deps;
  const log = threadLogOf(run.threadId);
  const leaseToken = threadLogToken(run);

  const lifecycle = (step: Pick<RootMark, "step"> | RootEnd): NewRunEvent =>
    rootLifecycle({ runId: run.runId, graphName: run.graphId, timestamp: clock.now(), ...step });

  const earlierEnd = async (): Promise<readonly NewRunEvent[]> => {
    try {
      const end = await missingEnd(deps, run.threadId, run);
      return end === null ? [] : [end];
    } catch (error) {
      deps.logger.warn({ err: error, threadId: run.threadId }, "whether a thread's log is complete could not be read");
      return [];
    }
  };

  return {
    async begin() {
      await eventLog.begin(log, { leaseToken, lasting: true, resumable: true });
      eventLog.append(log, [...(await earlierEnd()), lifecycle({ step: "running" }), ...answered(clock, run.kwargs)]);
    },
    append(events) {
      if (events.length > 0) eventLog.append(log, events);
    },
    flush: () => eventLog.flush(log),
    end: (end) => void eventLog.append(log, [lifecycle(end)]),
    rest: () => eventLog.rest(log, { leaseToken }),
    drop: () => eventLog.drop(log),
  };
}

/** Ids of interrupts are hashes; anything else is a plain value to resume with. */
const INTERRUPT_ID = /^[0-9a-f]{32}$/;

/** A run that resumes by id tells so before the answers are looked at (docs/wire/langgraph-api.md §4.3.2). */
function answered(clock: Clock, { command }: RunKwargs): readonly NewRunEvent[] {
  const resume = command?.["resume"];
  if (!isJsonObject(resume)) return [];
  const ids = Object.keys(resume);
  if (ids.length === 0 || !ids.every((id) => INTERRUPT_ID.test(id))) return [];
  const params = toJsonText({ namespace: [], timestamp: clock.now(), data: { interrupt_ids: ids } });
  return [threadEvent("input.answered", [], params, "control")];
}
