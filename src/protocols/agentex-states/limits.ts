import { HeddleError } from "../../core/errors.js";

/** Of one record's text: MongoDB's documents hold 16 MiB, also when it is sealed. */
export const MAX_RECORD_BYTES = 10 * 1024 * 1024;

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
