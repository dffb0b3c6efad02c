import type { CursorRead } from "../core/event-log.js";
import type { RunEvent } from "../core/run-event.js";

/** What one read hands out at most, so that a slow reader holds no more than this. */
export const MAX_READ_BYTES = 256 * 1024;

/** Where a cursor stands. */
export interface ReadPosition {
  nextSeq: number;
  /** Evicted events up to here were reported, or were gone when the cursor was opened: skipped in silence. */
  forgivenSeq: number;
}

/** Highest evicted sequence number of each kind; -1 for none. */
export interface Evicted {
  tokensTo: number;
  statesTo: number;
}

export function evictedTo(evicted: Evicted): number {
  return Math.max(evicted.tokensTo, evicted.statesTo);
}

/**
 * Move a position over missing events.
 * @param foundSeq the first event that exists at or after the position
 * @returns the gap to report, or `null` when nothing is missing or it was forgiven
 */
export function stepOverHole(position: ReadPosition, foundSeq: number, evicted: Evicted): CursorRead | null {
  const missingSeq = position.nextSeq;
  if (foundSeq <= missingSeq) return null;
  position.nextSeq = foundSeq;
  if (foundSeq - 1 <= position.forgivenSeq) return null;
  const lostFromSeq = Math.max(missingSeq, position.forgivenSeq + 1);
  const onlyTokens = evicted.tokensTo >= lostFromSeq && evicted.statesTo < lostFromSeq;
  position.forgivenSeq = Math.max(foundSeq - 1, evictedTo(evicted));
  return { kind: "gap", resumeAtSeq: foundSeq, lost: onlyTokens ? "token" : "state" };
}

/**
 * Take events from `index` on, until an unreported hole, `beforeSeq` or {@link MAX_READ_BYTES}, and move the position past
 * them. The event at `index` must be at the position.
 */
export function takeEvents(
  from: readonly RunEvent[],
  index: number,
  position: ReadPosition,
  beforeSeq: number,
): readonly RunEvent[] {
  const taken: RunEvent[] = [];
  let room = MAX_READ_BYTES;
  for (let i = index; i < from.length && room > 0; i += 1) {
    const event = from[i] as RunEvent;
    if (event.seq >= beforeSeq) break;
    if (event.seq !== position.nextSeq && event.seq - 1 > position.forgivenSeq) break;
    taken.push(event);
    room -= event.data.length;
    position.nextSeq = event.seq + 1;
  }
  return taken;
}
