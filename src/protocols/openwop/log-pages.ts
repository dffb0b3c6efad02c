import { parseJsonText } from "../../core/json.js";
import type { RecordStore } from "../../core/record.js";
import { EVENTS_SPACE, eventKey, type LoggedEvent } from "./event.js";
import type { Folding } from "./fold.js";
import type { RunRecord } from "./run-record.js";

/** Events of one read, at most. */
const PAGE = 500;

/** Reads logs of runs. */
export function createLogPages(records: Pick<RecordStore, "list">) {
  const list = async (
    record: Pick<RunRecord, "runId" | "owner">,
    from: number,
    limit = PAGE,
  ): Promise<readonly LoggedEvent[]> => {
    const rows = await records.list({
      space: EVENTS_SPACE,
      owner: record.owner,
      collection: record.runId,
      fromKey: eventKey(from),
      order: "key",
      direction: "asc",
      limit,
      offset: 0,
    });
    return rows.map(({ value }) => parseJsonText(value) as unknown as LoggedEvent);
  };

  const refresh = async (record: RunRecord, fold: Folding): Promise<void> => {
    for (;;) {
      const events = await list(record, fold.sequence + 1);
      applyNext(fold, events);
      if (events.length < PAGE) return;
    }
  };

  /** Events from a sequence on, and the fold brought up to date: in one read for whoever follows the log. */
  const readFrom = async (
    record: RunRecord,
    fold: Folding,
    from: number,
    limit: number,
  ): Promise<readonly LoggedEvent[]> => {
    if (from > fold.sequence + 1) await refresh(record, fold);
    if (from > fold.sequence + 1) return [];
    const events = await list(record, from, limit);
    applyNext(fold, events);
    if (events.length === limit) await refresh(record, fold);
    return events;
  };

  return { list, refresh, readFrom };
}

function applyNext(fold: Folding, events: readonly LoggedEvent[]): void {
  // Another reader of this process may have been faster.
  for (const event of events) if (event.sequence === fold.sequence + 1) fold.apply(event);
}
