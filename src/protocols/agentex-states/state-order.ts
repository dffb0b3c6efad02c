import { HeddleError } from "../../core/errors.js";
import type { RecordKey, RecordQuery, RecordStore, StoredRecord } from "../../core/record.js";
import type { StateField, StateListing } from "./wire.js";
import { answerSize, listWithin, MAX_ANSWER_CHARS } from "./limits.js";
import { stateLabels } from "./wire.js";

type Records = Pick<RecordStore, "list" | "get">;
type Place = Omit<RecordKey, "key">;
type Direction = StateListing["direction"];

/** More states than this are not ordered by what the storage has no order for. */
export const MAX_SORTED = 1000;
const PER_ROUND = 100;
/** Of a state's text, what it is ordered by. */
const COMPARED_CHARS = 256;
/** So many neighbours of a page are looked at for states of the same time. */
const NEIGHBOURS = 8;

/**
 * One page of states. By creation, time of change and id the storage orders them; by the other fields they are ordered here, and only
 * where there are at most {@link MAX_SORTED}. Of equal ones the smaller id comes first, in both directions.
 * @throws HeddleError `INVALID_REQUEST` for more, and for a page that is too large for one answer
 */
export async function listStates(
  unbounded: Records,
  place: Place,
  listing: StateListing,
  maxAnswerChars = MAX_ANSWER_CHARS,
): Promise<readonly StoredRecord[]> {
  const records = withinAnswer(unbounded, maxAnswerChars);
  const { orderBy, direction, limit, offset } = listing;
  const query = { ...place, labels: stateLabels(listing) };
  switch (orderBy) {
    case null:
      return records.list({ ...query, order: "created", direction: "asc", limit, offset });
    case "id":
      return records.list({ ...query, order: "key", direction, limit, offset });
    case "created_at":
      return byTime(records, query, { order: "created", timeOf: (one) => one.createdAt, direction, limit, offset });
    case "updated_at":
      return byTime(records, query, { order: "updated", timeOf: (one) => one.updatedAt, direction, limit, offset });
    case "task_id":
    case "agent_id":
    case "state":
      // All of one task, or of one agent: equal.
      if (query.labels[orderBy] !== undefined) {
        return records.list({ ...query, order: "key", direction: "asc", limit, offset });
      }
      return byText(records, query, { field: orderBy, direction, limit, offset });
    default:
      return orderBy satisfies never;
  }
}

/**
 * The storage orders what has the same time by creation, or by id the other way round: such groups are ordered anew, and those that a
 * page cuts are read as a whole.
 */
async function byTime(
  records: Records,
  query: RecordQuery,
  page: {
    readonly order: "created" | "updated";
    readonly timeOf: (record: StoredRecord) => number;
    readonly direction: Direction;
    readonly limit: number;
    readonly offset: number;
  },
): Promise<readonly StoredRecord[]> {
  const { order, timeOf, direction, limit, offset } = page;
  for (let around = NEIGHBOURS; ; around *= 8) {
    const from = Math.max(0, offset - around);
    const size = limit + 2 * around;
    const found = await records.list({ ...query, order, direction, limit: size, offset: from });
    const first = offset - from;
    const last = Math.min(first + limit, found.length) - 1;
    if (last < first) return [];
    // The page's first and last groups begin and end within what was read.
    const startsHere = from === 0 || timeOf(at(found, 0)) !== timeOf(at(found, first));
    const endsHere = found.length < size || timeOf(at(found, found.length - 1)) !== timeOf(at(found, last));
    if (!startsHere || !endsHere) continue;
    const turn = direction === "asc" ? 1 : -1;
    const sorted = found.toSorted((a, b) => turn * (timeOf(a) - timeOf(b)) || compare(a.key, b.key));
    return sorted.slice(first, first + limit);
  }
}

async function byText(
  records: Records,
  query: RecordQuery & Place,
  page: {
    readonly field: Extract<StateField, "task_id" | "agent_id" | "state">;
    readonly direction: Direction;
    readonly limit: number;
    readonly offset: number;
  },
): Promise<readonly StoredRecord[]> {
  const { field, direction, limit, offset } = page;
  const rows: { readonly key: string; readonly text: string }[] = [];
  for (;;) {
    const round = { order: "key", direction: "asc", limit: PER_ROUND, offset: rows.length } as const;
    const found = await records.list({ ...query, ...round });
    for (const { key, labels, value } of found) {
      rows.push({ key, text: field === "state" ? startOf(value) : (labels[field] ?? "") });
    }
    if (rows.length > MAX_SORTED) throw tooMany(field);
    if (found.length < PER_ROUND) break;
  }
  const turn = direction === "asc" ? 1 : -1;
  rows.sort((a, b) => turn * compare(a.text, b.text) || compare(a.key, b.key));
  const { space, owner, collection } = query;
  const states: StoredRecord[] = [];
  for (const { key } of rows.slice(offset, offset + limit)) {
    const state = await records.get({ space, owner, collection, key });
    // What was deleted meanwhile is not there.
    if (state !== null) states.push(state);
  }
  return states;
}

/** Reads of which none, and all `get`s together, hold more than an answer may. */
function withinAnswer(records: Records, maxChars: number): Records {
  const sized = () => answerSize({ maxChars, wayOut: "Ask with a smaller limit, and for the others by page_number." });
  const gotten = sized();
  return {
    list: (query) => listWithin(records, query, sized()),
    async get(key) {
      const record = await records.get(key);
      if (record !== null) gotten.add(record.value);
      return record;
    },
  };
}

/** A copy: a slice would keep the whole text in memory. */
function startOf(text: string): string {
  return Buffer.from(text.slice(0, COMPARED_CHARS), "utf16le").toString("utf16le");
}

function tooMany(field: StateField): HeddleError {
  return new HeddleError("INVALID_REQUEST", {
    message:
      `order_by: at most ${MAX_SORTED} states are ordered by ${field}, and there are more. ` +
      "Order by created_at, updated_at or id, or filter by task_id or agent_id",
  });
}

function at(found: readonly StoredRecord[], index: number): StoredRecord {
  const record = found[index];
  if (record === undefined) throw new RangeError(`no record ${index} of ${found.length}`);
  return record;
}

function compare(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
