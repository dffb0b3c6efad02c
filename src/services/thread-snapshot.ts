import type { Caller } from "../core/auth.js";
import type { Clock } from "../core/clock.js";
import { asJsonText, isJsonObject, parseJsonText } from "../core/json.js";
import type { Logger } from "../core/logger.js";
import type { ThreadEventFilter } from "../core/thread-event.js";
import { matchesFilter, threadEventName } from "../core/thread-event.js";
import type { SnapshotEvent } from "./thread-cursor.js";
import type { ThreadStateService } from "./thread-state.js";
import { unlessGone } from "./unless-gone.js";

const VALUES = threadEventName("values", []);

/** Whether a filter shows the whole state of the thread. */
export function showsValues(filter: ThreadEventFilter): boolean {
  return matchesFilter(filter, VALUES);
}

/**
 * The state of a thread as it is now, as a `values` event outside its log (docs/guides/event-protocol.md, "Gaps"); `null` when
 * there is none. A reader that cannot be told the state still gets the events.
 */
export function createThreadSnapshot(deps: {
  readonly state: Pick<ThreadStateService, "get">;
  readonly clock: Clock;
  readonly logger: Logger;
}): (caller: Caller, threadId: string) => Promise<SnapshotEvent | null> {
  const currentState = async (caller: Caller, threadId: string): Promise<SnapshotEvent | null> => {
    const found = await unlessGone(deps.state.get(caller, threadId, { subgraphs: false }));
    if (found === null) return null;
    const { values, checkpoint } = found;
    const parsed = parseJsonText(values);
    if (checkpoint === null || (isJsonObject(parsed) && Object.keys(parsed).length === 0)) return null;
    return {
      seq: -1,
      eventId: `values:${checkpoint.checkpointId ?? ""}`,
      event: VALUES,
      data: asJsonText(`{"namespace":[],"timestamp":${deps.clock.now()},"data":${values}}`),
      kind: "state",
    };
  };
  return async (caller, threadId) => {
    try {
      return await currentState(caller, threadId);
    } catch (error) {
      deps.logger.warn({ err: error, threadId }, "no snapshot for a reader that has missed state");
      return null;
    }
  };
}
