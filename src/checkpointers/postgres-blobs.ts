import type { Place } from "../core/cipher.js";
import { HeddleError } from "../core/errors.js";
import { guard, isPacked } from "./packing.js";
import type { Sealing } from "./sealing.js";
import { joinTexts, splitTexts, type Encoded } from "./serde.js";

/** A value as the columns `type` and `blob` hold it; `empty` for a channel without one. */
export interface StoredValue {
  readonly type: string;
  readonly blob: Buffer | null;
  /** It is a part of a content. */
  readonly shared?: SharedContent;
}

/** What a value shares (sharing.ts). */
export interface SharedContent {
  readonly content: string;
  /** `null`: it should be there. */
  readonly data: StoredValue | null;
  /** The content is gone: the value by itself. */
  whole(): StoredValue;
}

/**
 * A list of messages, by their texts. What is stored of it is made when it is asked for: of a list that has grown only what is new travels
 * ({@link KnownLists}).
 */
export class ListValue implements StoredValue {
  readonly type = "json";
  readonly texts: readonly string[];
  #blob: Buffer | undefined;

  constructor(texts: readonly string[]) {
    this.texts = texts;
  }

  get blob(): Buffer {
    return (this.#blob ??= Buffer.from(joinTexts(this.texts)));
  }

  /** About as many as `blob` has, without making it. */
  get length(): number {
    return lengthOf(this.texts);
  }
}

/** Characters of a list's texts. */
export function lengthOf(texts: readonly string[]): number {
  let length = 0;
  for (const text of texts) length += text.length;
  return length;
}

export const EMPTY: StoredValue = { type: "empty", blob: null };

/** `type` of a sealed value: neither the stock saver nor LangGraph for Python takes it for something else. */
export const SEALED_TYPE = "heddle";

/** `type` of a value that is packed and not sealed. */
export const PACKED_TYPE = "heddle.packed";

/** A value, sealed where `sealing` does that. */
export function toSealed(sealing: Sealing, data: Encoded, place: Place): StoredValue {
  const stored = toStored(sealing.seal(data, place));
  return sealing.enabled ? { ...stored, type: SEALED_TYPE } : stored;
}

export function toStored(data: Encoded): StoredValue {
  if (data instanceof Uint8Array) {
    const type = isPacked(data) ? PACKED_TYPE : "bytes";
    return { type, blob: Buffer.from(data.buffer, data.byteOffset, data.byteLength) };
  }
  return { type: "json", blob: Buffer.from(typeof data === "string" ? data : joinTexts(data)) };
}

/**
 * The columns that {@link fromColumns} reads. JSON comes as text: a `bytea` would come as hex, twice as long, and the stock
 * saver's `array_agg` of them is parsed byte by byte (75 to 130 ms for 240 kB).
 * @param isKnown condition: JSON that need not come
 */
export const valueColumns = (table: string, isKnown?: string): string =>
  `${table}.type AS type,
   CASE WHEN ${table}.type = 'json'${isKnown === undefined ? "" : ` AND NOT ${isKnown}`} THEN convert_from(${table}.blob, 'UTF8') END AS json,
   CASE WHEN ${table}.type <> 'json' THEN ${table}.blob END AS bytes`;

export interface ValueColumns {
  readonly type: string | null;
  readonly json: string | null;
  readonly bytes: Buffer | null;
}

/**
 * A stored value, still sealed if it is.
 * @param what names the value, for the message
 * @throws HeddleError `STORAGE_UNAVAILABLE` when another serializer wrote it
 */
export function fromColumns({ type, json, bytes }: ValueColumns, what: () => string): Encoded {
  if (json !== null) return splitTexts(json) ?? json;
  // Others may have written bytes that look like ours.
  if (type === "bytes" && bytes !== null) return guard(new Uint8Array(bytes));
  if ((type === SEALED_TYPE || type === PACKED_TYPE) && bytes !== null) return new Uint8Array(bytes);
  throw new HeddleError("STORAGE_UNAVAILABLE", {
    message: `Postgres checkpointer: ${what()} has the serialization "${type}", which only LangGraph for Python reads. Continue the thread there, or start a new one.`,
    details: { type },
  });
}
