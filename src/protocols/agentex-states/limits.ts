import { HeddleError } from "../../core/errors.js";
import type { RecordStore, StoredRecord } from "../../core/record.js";

/** Of one record's text: MongoDB's documents hold 16 MiB, also when it is sealed. */
const MAX_RECORD_BYTES = 10 * 1024 * 1024;

/** @throws HeddleError `PAYLOAD_TOO_LARGE` that names the field and the bound */
export function withinBytes<T extends string>(field: string, text: T): T {
  // A character has at most three bytes for each of its UTF-16 units.
  const isSurelyWithin = text.length * 3 <= MAX_RECORD_BYTES;
  const bytes = isSurelyWithin ? 0 : Buffer.byteLength(text);
  if (bytes <= MAX_RECORD_BYTES) return text;
  throw new HeddleError("PAYLOAD_TOO_LARGE", {
    message: `${field}: has ${bytes} bytes of JSON, and at most ${MAX_RECORD_BYTES} are kept in one piece`,
    details: { field, limitBytes: MAX_RECORD_BYTES },
  });
}

/** Of all that one answer holds, in UTF-16 units of the records' texts: it is one text in memory before it is sent. */
export const MAX_ANSWER_CHARS = 64 * 1024 * 1024;

/**
 * Of one checkpoint with its blobs and pending writes, in UTF-16 units of the records' texts, which are written one by one and read
 * together.
 */
export const MAX_TUPLE_CHARS = 2 * MAX_ANSWER_CHARS;

/** Records that a list reads at first; later as many as their size so far bears. */
const FIRST_READ = 16;
const READ_CHARS = 16 * 1024 * 1024;

/** How much an answer has so far. */
export interface AnswerSize {
  /** @throws HeddleError when the answer would become too large */
  add(text: string): void;
}

/** @param options.wayOut what the client may do instead, as a sentence */
export function answerSize(options: { readonly maxChars: number; readonly wayOut: string }): AnswerSize {
  const { maxChars, wayOut } = options;
  return sizeUpTo(maxChars, () => {
    throw new HeddleError("INVALID_REQUEST", {
      message: `The answer would have more than ${maxChars} characters. ${wayOut}`,
    });
  });
}

/**
 * How much there is of one checkpoint, which nobody can read in parts.
 * @returns whose `add` throws `PAYLOAD_TOO_LARGE`
 */
export function tupleSize(maxChars: number): AnswerSize {
  return sizeUpTo(maxChars, () => {
    throw new HeddleError("PAYLOAD_TOO_LARGE", {
      message: `A checkpoint with its blobs and pending writes may have ${maxChars} characters, and this one has more: keep less in the graph's state`,
      details: { limitChars: maxChars },
    });
  });
}

function sizeUpTo(maxChars: number, refuse: () => never): AnswerSize {
  let chars = 0;
  return {
    add(text) {
      chars += text.length;
      if (chars > maxChars) refuse();
    },
  };
}

/**
 * As {@link RecordStore.list}, in several reads that no value's size makes large. What another writes between two of them may shift
 * records as between two pages: none comes twice.
 * @param size grows by each value
 */
export async function listWithin(
  records: Pick<RecordStore, "list">,
  query: Parameters<RecordStore["list"]>[0],
  size: AnswerSize,
): Promise<readonly StoredRecord[]> {
  const found = new Map<string, StoredRecord>();
  let read = 0;
  let chars = 0;
  for (let step = FIRST_READ; read < query.limit;) {
    const limit = Math.min(step, query.limit - read);
    const page = await records.list({ ...query, limit, offset: query.offset + read });
    for (const record of page) {
      size.add(record.value);
      chars += record.value.length;
      found.set(JSON.stringify([record.collection, record.key]), record);
    }
    read += page.length;
    if (page.length < limit) break;
    step = Math.max(1, Math.min(2 * step, Math.floor((READ_CHARS * read) / Math.max(1, chars))));
  }
  return [...found.values()];
}
