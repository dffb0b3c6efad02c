import type { EventPosition } from "../core/event-log.js";
import type { RunEvent } from "../core/run-event.js";

/** A comment that clients ignore and that keeps proxies and the SDK's idle watchdog content (§3.1). */
export const HEARTBEAT = ": heartbeat\n\n";

/**
 * Frames of a run stream (docs/wire/langgraph-api.md §3.1): `event`, `data`, `id`, LF, blank line. Remembers the last
 * event name, since most frames repeat it.
 */
export class SseFrames {
  readonly #withIds: boolean;
  #name: string | null = null;
  #prefix = "";

  /** @param withIds write the sequence number as `id`; stateless runs have none on the reference server. */
  constructor(withIds: boolean) {
    this.#withIds = withIds;
  }

  encode(event: RunEvent): string {
    if (event.event !== this.#name) {
      this.#name = event.event;
      this.#prefix = "event: " + oneLine(event.event) + "\ndata: ";
    }
    // Concatenated, not templated: 3.8 against 1.1 million frames per second.
    return this.#withIds
      ? this.#prefix + event.data + "\nid: " + event.seq + "\n\n"
      : this.#prefix + event.data + "\n\n";
  }
}

/** A frame outside the log, without `id`, so that it never becomes a position to resume from. */
export function errorFrame(error: string, message: string): string {
  return `event: error\ndata: ${JSON.stringify({ error, message })}\n\n`;
}

/** A line break would end the field early, and a NUL makes decoders drop an id. */
function oneLine(text: string): string {
  return text.replaceAll(/[\r\n\0]/g, "");
}

/**
 * Where a join starts by its `Last-Event-ID` (docs/wire/langgraph-api.md §3.10): none → now, `-1` → start, a number →
 * strictly after it, anything else → now.
 */
export function positionFromLastEventId(lastEventId: string | null | undefined): EventPosition {
  if (lastEventId === "-1") return "start";
  if (lastEventId === null || lastEventId === undefined || !/^\d{1,15}$/.test(lastEventId)) return "now";
  return { afterSeq: Number(lastEventId) };
}
