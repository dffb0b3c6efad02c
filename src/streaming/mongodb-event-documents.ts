import { randomUUID } from "node:crypto";
import type { Db } from "mongodb";
import { asJsonText, type EpochMs } from "../core/json.js";
import type { RunEvent, RunEventKind } from "../core/run-event.js";
import type { Component } from "../databases/mongodb/migrate.js";
import { eventBytes } from "./run-buffer.js";

const COLLECTIONS = {
  heads: "heddle_event_logs",
  batches: "heddle_event_batches",
  parts: "heddle_event_parts",
} as const;

/** Larger batches are kept beside the head, in parts. */
export const MAX_INLINE_BYTES = 256 * 1024;
/** A document of MongoDB holds 16 MiB. */
const PART_BYTES = 8 * 1024 * 1024;

/** Some events that follow each other, as they are kept: packed, or in parts. */
export interface Batch {
  readonly first: number;
  readonly last: number;
  /** As the log counts them. */
  readonly tokenBytes: number;
  readonly stateBytes: number;
  /** The events ({@link packEvents}), unless they are in parts. */
  readonly text?: string;
  /** Ids of the parts, in order. */
  readonly parts?: readonly string[];
}

/**
 * A log's head, with its newest events: they and the numbers change in one update of one document, which is all that MongoDB
 * does at once without transactions.
 */
export interface HeadDocument {
  /** The run. */
  readonly _id: string;
  readonly threadId: string;
  /** Of this log: a run may get another one after it was dropped. Its batches carry it. */
  readonly logId: string;
  readonly createdAt: EpochMs;
  readonly resumable: boolean;
  /** Absent: no. */
  readonly lasting?: true;
  readonly leaseToken: number;
  readonly nextSeq: number;
  readonly bytes: number;
  readonly tokensTo: number;
  readonly statesTo: number;
  /** Highest number of a state event; -1 for none. */
  readonly newestState: number;
  /** Events before this one are in batches, the others in `tail`. */
  readonly spilledSeq: number;
  readonly tail: readonly Batch[];
  readonly sealedAt: EpochMs | null;
  /** Of a lasting log: set while it rests, `NEVER` (lasting-logs) once its events are gone. */
  readonly expiresAt: EpochMs | null;
  /** At least so long after its seal it is kept. */
  readonly keepMs: number;
  /** The last write, so that one whose answer was lost is known again. */
  readonly writeId: string;
  /** Dropped: to be forgotten with its batches. */
  readonly deleted?: true;
}

/** What of a head is read when the events are not wanted. */
export type HeadWithoutTail = Omit<HeadDocument, "tail">;

/** Events that were in a head's tail: only what readers may have already is moved here. Two may hold the same events. */
export interface BatchDocument extends Batch {
  /** `logId:first:last` */
  readonly _id: string;
  readonly logId: string;
}

interface PartDocument {
  readonly _id: string;
  readonly logId: string;
  readonly data: Buffer;
}

/** The three collections. */
export function eventCollections(db: Db) {
  return {
    heads: db.collection<HeadDocument>(COLLECTIONS.heads),
    batches: db.collection<BatchDocument>(COLLECTIONS.batches),
    parts: db.collection<PartDocument>(COLLECTIONS.parts, { promoteBuffers: true }),
  };
}

export type EventCollections = ReturnType<typeof eventCollections>;

export const EVENTS: Component = {
  name: "events",
  migrations: [
    async (db) => {
      const { heads, batches, parts } = eventCollections(db);
      await heads.createIndex({ threadId: 1 });
      await heads.createIndex({ expiresAt: 1 });
      await heads.createIndex({ sealedAt: 1, createdAt: 1 });
      await batches.createIndex({ logId: 1, last: 1 });
      await parts.createIndex({ logId: 1 });
    },
    async (db) => {
      await eventCollections(db).heads.createIndex({ lasting: 1, expiresAt: 1 });
    },
  ],
};

/**
 * Events as one text: a line of JSON with `[seq, kind, event, length of data]` for each, then the data of all, as they are. One
 * string costs a fraction of what a document per event does.
 */
export function packEvents(events: readonly RunEvent[]): string {
  const index = events.map(({ seq, kind, event, data }) => [seq, kind, event, data.length]);
  return `${JSON.stringify(index)}\n${events.map(({ data }) => data).join("")}`;
}

/** The inverse of {@link packEvents}. */
export function unpackEvents(text: string): RunEvent[] {
  const lineEnd = text.indexOf("\n");
  const index = JSON.parse(text.slice(0, lineEnd)) as readonly [number, RunEventKind, string, number][];
  let at = lineEnd + 1;
  return index.map(([seq, kind, event, length]) => {
    const data = asJsonText(text.slice(at, at + length));
    at += length;
    return { seq, kind, event, data };
  });
}

/** Pack events; what is large is written in parts first. Not empty. */
export async function makeBatch(
  { parts }: EventCollections,
  logId: string | null,
  events: readonly RunEvent[],
): Promise<Batch> {
  const bytes = { token: 0, state: 0, control: 0 };
  for (const event of events) bytes[event.kind] += eventBytes(event);
  const numbers = {
    first: (events[0] as RunEvent).seq,
    last: (events.at(-1) as RunEvent).seq,
    tokenBytes: bytes.token,
    stateBytes: bytes.state,
  };
  const text = packEvents(events);
  if (logId === null || bytes.token + bytes.state + bytes.control <= MAX_INLINE_BYTES) return { ...numbers, text };
  const whole = Buffer.from(text);
  const ids: string[] = [];
  const writeId = randomUUID();
  for (let start = 0; start < whole.length; start += PART_BYTES) {
    const _id = `${writeId}:${ids.length}`;
    await parts.insertOne({ _id, logId, data: whole.subarray(start, start + PART_BYTES) });
    ids.push(_id);
  }
  return { ...numbers, parts: ids };
}

/** The events of a batch; none when its parts are gone, because the log was dropped meanwhile. */
export async function eventsOf({ parts }: EventCollections, batch: Batch): Promise<RunEvent[]> {
  if (batch.text !== undefined) return unpackEvents(batch.text);
  const ids = batch.parts ?? [];
  const found = new Map((await parts.find({ _id: { $in: [...ids] } }).toArray()).map(({ _id, data }) => [_id, data]));
  const data = ids.map((id) => found.get(id));
  return data.every((part) => part !== undefined) ? unpackEvents(Buffer.concat(data).toString("utf8")) : [];
}
