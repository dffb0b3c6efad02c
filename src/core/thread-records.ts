import { createHash } from "node:crypto";
import { type JsonText, toJsonText } from "./json.js";
import type { RecordKey, RecordStore, RecordWrite } from "./record.js";

/** Records of a protocol that belong to a thread, and go with it. */
export interface ThreadRecords {
  readonly space: string;
  readonly owner: string;
  readonly collection: string;
  /** Only those with all of these; absent: the whole collection. */
  readonly labels?: Readonly<Record<string, string>>;
}

/** Which places have records of which thread. The server's own: a thread may have records of several owners. */
const SPACE = "thread-records";
const OWNER = "";
const PER_ROUND = 100;

/**
 * Note that there are, or may soon be, records of a thread at these places, so that they go when it is deleted or expires. Only for
 * callers who see the thread: whoever deletes it deletes the records of all who noted theirs. Repeating it costs one read for each.
 * @param threadId of a thread that exists
 */
export async function noteThreadRecords(
  records: Pick<RecordStore, "get" | "write">,
  threadId: string,
  places: readonly ThreadRecords[],
): Promise<void> {
  for (const note of threadRecordNotes(threadId, places)) {
    if ((await records.get(note)) === null) await records.write(note);
  }
}

/** The same as writes, for who makes them in one step with the thread's first records. */
export function threadRecordNotes(threadId: string, places: readonly ThreadRecords[]): readonly RecordWrite[] {
  return places.map((place) => noteOf(threadId, place));
}

/** Take back what {@link noteThreadRecords} noted: from now on these records stay when the thread goes. */
export async function disownThreadRecords(
  records: Pick<RecordStore, "remove">,
  threadId: string,
  places: readonly ThreadRecords[],
): Promise<void> {
  for (const place of places) await records.remove(keyOf(threadId, valueOf(place)));
}

/** Remove the records of a thread that is being deleted, of all owners. Repeating it after a crash finishes it. */
export async function removeThreadRecords(
  records: Pick<RecordStore, "list" | "remove" | "removeCollection">,
  threadId: string,
): Promise<void> {
  const collection = collectionOf(threadId);
  const noted = { space: SPACE, owner: OWNER, collection };
  for (;;) {
    const notes = await records.list({ ...noted, order: "key", direction: "asc", limit: PER_ROUND, offset: 0 });
    for (const note of notes) {
      await removePlace(records, JSON.parse(note.value) as ThreadRecords);
      await records.remove({ ...noted, key: note.key });
    }
    if (notes.length < PER_ROUND) return;
  }
}

async function removePlace(
  records: Pick<RecordStore, "list" | "remove" | "removeCollection">,
  { space, owner, collection, labels = {} }: ThreadRecords,
): Promise<void> {
  if (Object.keys(labels).length === 0) {
    await records.removeCollection({ space, owner, collection });
    return;
  }
  for (;;) {
    const query = { space, owner, collection, labels, order: "key", direction: "asc", offset: 0 } as const;
    const found = await records.list({ ...query, limit: PER_ROUND });
    for (const { key } of found) await records.remove({ space, owner, collection, key });
    if (found.length < PER_ROUND) return;
  }
}

function noteOf(threadId: string, place: ThreadRecords): RecordWrite {
  const value = valueOf(place);
  return { ...keyOf(threadId, value), value, disposable: true };
}

function keyOf(threadId: string, value: JsonText): RecordKey {
  return { space: SPACE, owner: OWNER, collection: collectionOf(threadId), key: digest(value) };
}

function valueOf({ space, owner, collection, labels = {} }: ThreadRecords): JsonText {
  return toJsonText({ space, owner, collection, labels });
}

/** Ids of threads are UUIDs in either case. */
function collectionOf(threadId: string): string {
  return threadId.toLowerCase();
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("base64url");
}
