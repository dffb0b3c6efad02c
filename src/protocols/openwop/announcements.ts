import { z } from "zod";
import type { Logger } from "../../core/logger.js";
import { parseJsonText, toJsonText } from "../../core/json.js";
import type { RecordKey, RecordStore, StoredRecord } from "../../core/record.js";
import type { RunWebhook } from "../../core/webhook.js";
import { newId } from "../../services/identifiers.js";
import type { Outbox } from "../../services/outbox.js";
import type { LoggedEvent } from "./event.js";
import type { EventLogs } from "./event-log.js";
import type { RunRecord } from "./run-record.js";
import type { RunRecords } from "./run-records.js";
import type { Announce } from "./seams.js";
import { messageOf } from "./webhook-message.js";

/** Notes of events whose webhooks may not be told yet: owner "", collection "". */
export const UNTOLD_SPACE = "openwop-untold";
/** Notes that one look of the sweep takes; what is more comes with the next one. */
const PAGE = 1_000;

const Note = z.object({
  owner: z.string(),
  runId: z.string(),
  first: z.number(),
  last: z.number(),
  /** {@link Listener.id} of those who were to be told. */
  to: z.array(z.string()),
});
type NoteValue = z.infer<typeof Note>;

/** Somebody who wants to hear of a run's events. */
export interface Listener {
  readonly id: string;
  readonly webhook: RunWebhook;
  /** `null`: messages are not signed. */
  readonly secret: string | null;
  /** Once this record is gone, nothing is sent any more. */
  readonly subscription?: RecordKey;
  readonly wants: (event: LoggedEvent) => boolean;
}

/**
 * What webhooks hear of events, also when the process dies between an event and its messages.
 * @param deps.listenersOf who listens to a run now
 */
export function createAnnouncements(deps: {
  readonly records: RecordStore;
  readonly outbox: Outbox;
  readonly logger: Logger;
  readonly listenersOf: (record: RunRecord) => Promise<readonly Listener[]>;
}) {
  const { records, outbox, logger } = deps;
  /** A note that two looks in a row have found belongs to nobody who is about to tell. */
  let seen: ReadonlySet<string> = new Set();

  const announce: Announce = async (record, events) => {
    const messages = messagesTo(await deps.listenersOf(record), record, events);
    const [first, last] = [events[0], events.at(-1)];
    if (messages.length === 0 || first === undefined || last === undefined) return null;
    const key = noteKey(`${record.runId}-${first.sequence}-${newId()}`);
    const { owner, runId } = record;
    const to = [...new Set(messages.map(({ listenerId }) => listenerId))];
    const value: NoteValue = { owner, runId, first: first.sequence, last: last.sequence, to };
    return {
      note: { ...key, value: toJsonText(value), expected: 0, disposable: true },
      async tell() {
        for (const { message } of messages) await outbox.enqueue(message);
        await records.remove(key);
      },
    };
  };

  const retell = async (row: StoredRecord, logs: Pick<EventLogs, "list">, runs: Pick<RunRecords, "find">) => {
    const { owner, runId, first, last, to } = Note.parse(parseJsonText(row.value));
    const record = await runs.find(owner, runId);
    if (record !== null) {
      const events = await logs.list(record, first, last - first + 1);
      const listeners = (await deps.listenersOf(record)).filter(({ id }) => to.includes(id));
      for (const { message } of messagesTo(listeners, record, events)) await outbox.enqueue(message);
    }
    await records.remove(noteKey(row.key));
  };

  return {
    announce,
    /** Tells what somebody meant to tell who has died, or could not. A receiver may get a message again, under its id. */
    async sweep(logs: Pick<EventLogs, "list">, runs: Pick<RunRecords, "find">): Promise<void> {
      const place = { space: UNTOLD_SPACE, owner: "", collection: "" };
      const rows = await records.list({ ...place, order: "created", direction: "asc", limit: PAGE, offset: 0 });
      const old = rows.filter(({ key }) => seen.has(key));
      seen = new Set(rows.map(({ key }) => key));
      for (const row of old) {
        try {
          await retell(row, logs, runs);
        } catch (error) {
          logger.warn({ err: error, note: row.key }, "webhooks of an OpenWOP run could not be told; trying again");
        }
      }
    },
  };
}

function noteKey(key: string): RecordKey {
  return { space: UNTOLD_SPACE, owner: "", collection: "", key };
}

/** In the order of the events. A replay tells nobody: its source did. */
function messagesTo(listeners: readonly Listener[], record: RunRecord, events: readonly LoggedEvent[]) {
  if (record.source?.mode === "replay") return [];
  return events.flatMap((event) =>
    listeners
      .filter(({ wants }) => wants(event))
      .map((listener) => ({ listenerId: listener.id, message: messageOf(record, event, listener) })),
  );
}
