import type { Clock } from "./clock.js";
import type { EventLog } from "./event-log.js";
import type { RunEvent } from "./run-event.js";
import type { RunRef } from "./run.js";

/** A log that says it has events shows the next ones within this time. */
const READ_MS = 2_000;

/**
 * The events that a log holds now, oldest first. Ends early when they expire while they are read: nothing would ever come.
 * @param newest only so many of the newest; default: all
 */
export async function* keptEvents(
  { eventLog, clock }: { readonly eventLog: EventLog; readonly clock: Clock },
  log: RunRef,
  newest?: number,
): AsyncGenerator<RunEvent> {
  const extent = await eventLog.extent(log);
  if (extent === null || extent.evictedToSeq >= extent.nextSeq - 1) return;
  const afterSeq = newest === undefined ? -1 : extent.nextSeq - 1 - newest;
  const cursor = await eventLog.open(log, { afterSeq });
  if (cursor === null) return;
  try {
    for (;;) {
      const late = clock.setTimer(() => cursor.close(), READ_MS);
      const read = await cursor.next().finally(() => late.cancel());
      if (read.kind === "end") return;
      if (read.kind === "gap") continue;
      yield* read.events;
      if ((read.events.at(-1)?.seq ?? 0) >= extent.nextSeq - 1) return;
    }
  } finally {
    cursor.close();
  }
}
