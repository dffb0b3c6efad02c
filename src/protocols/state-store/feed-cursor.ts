import type { AccessFilter } from "../../core/auth.js";
import type { CursorRead, EventCursor } from "../../core/event-log.js";
import type { JsonText } from "../../core/json.js";
import type { RecordChange } from "../../core/record.js";
import type { RunEvent } from "../../core/run-event.js";
import type { ItemPlace } from "./places.js";
import { isValueVisible } from "./values.js";
import { encodeChange } from "./wire.js";

/** One who follows a value: a position among changes that are kept for all. */
export class FeedCursor implements EventCursor {
  readonly #place: ItemPlace;
  readonly #access: AccessFilter;
  readonly #onDropped: () => void;
  readonly #onClose: (cursor: FeedCursor) => void;
  #offered: readonly RecordChange[] = [];
  #first: RunEvent | null = null;
  /** Versions up to here were taken, or are nothing to this reader. Before `open` nobody knows: everything is kept. */
  #position = -1;
  #isOver = false;
  #wake: (() => void) | null = null;

  constructor(options: {
    readonly place: ItemPlace;
    readonly access: AccessFilter;
    readonly onDropped: () => void;
    readonly onClose: (cursor: FeedCursor) => void;
  }) {
    this.#place = options.place;
    this.#access = options.access;
    this.#onDropped = options.onDropped;
    this.#onClose = options.onClose;
  }

  get position(): number {
    return this.#position;
  }

  /** Where what is told began; `null`: not for this reader to know, who may not see everything. Before anything is read. */
  get began(): number | null {
    return this.#access.kind === "all" ? this.#position : null;
  }

  /** @param value what is told first; `null`: that there is none; absent: nothing is */
  open(version: number, value: JsonText | null | undefined): void {
    this.#position = version;
    if (value !== undefined) this.#first = this.#event({ previous: null, value, version });
  }

  /**
   * All changes that are kept, of which this one takes those after its position.
   * @param forgotten the last version that is not kept any more: who has not taken it has fallen too far behind, and is dropped
   */
  offer(changes: readonly RecordChange[], forgotten: number): void {
    if (this.#isOver) return;
    if (this.#position >= 0 && this.#position < forgotten) {
      this.close();
      this.#onDropped();
      return;
    }
    this.#offered = changes;
    this.#wake?.();
  }

  /** Versions begin anew: what was taken says nothing of what comes. What was not taken yet is of a value that is long gone. */
  rewind(): void {
    this.#position = Math.min(this.#position, 0);
    this.#offered = [];
  }

  async next(): Promise<CursorRead> {
    for (;;) {
      if (this.#isOver) return { kind: "end" };
      const events = this.#take();
      if (events.length > 0) return { kind: "events", events };
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = null;
    }
  }

  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#offered = [];
    this.#first = null;
    this.#wake?.();
    this.#onClose(this);
  }

  #take(): readonly RunEvent[] {
    const events: RunEvent[] = [];
    if (this.#first !== null) events.push(this.#first);
    this.#first = null;
    for (const change of this.#offered) {
      if (change.version <= this.#position) continue;
      this.#position = change.version;
      const event = this.#event(change);
      if (event !== null) events.push(event);
    }
    this.#offered = [];
    return events;
  }

  /** `null`: neither what there was nor what there is may be seen. */
  #event(change: Pick<RecordChange, "previous" | "value" | "version">): RunEvent | null {
    const previous = this.#seen(change.previous);
    const value = this.#seen(change.value);
    if (this.#access.kind === "match" && previous === null && value === null) return null;
    return { event: "", data: encodeChange({ ...change, previous, value }), kind: "state", seq: change.version };
  }

  #seen(value: JsonText | null): JsonText | null {
    return value !== null && isValueVisible(this.#access, this.#place, value) ? value : null;
  }
}

/** An unnamed event, which is what `EventSource.onmessage` hears. */
export function encodeEvent({ seq, data }: RunEvent): string {
  return `id: ${seq}\ndata: ${data}\n\n`;
}
