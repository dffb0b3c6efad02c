import { randomUUID } from "node:crypto";
import { HeddleError } from "../../core/errors.js";
import { asJsonText, isJsonObject, type JsonText, parseJsonText, toJsonText } from "../../core/json.js";
import type { BlobDocument, StoredText, ThreadDocument } from "./documents.js";
import { insertOnce } from "./insert-once.js";
import type { Session } from "./session.js";

/** Longer texts get a document of their own, so that a heartbeat does not rewrite them. */
const INLINE_BYTES = 32 * 1024;
/** MongoDB's limit of 16 MiB, less what a blob's other fields take. */
const MAX_BLOB_BYTES = 16 * 1024 * 1024 - 1024;
const NAMED_CHANNELS = 20;

/**
 * Write a text where it belongs. A blob counts only once a thread's document names it; what nobody names is swept.
 * @param params.field what it is, for the message
 * @throws HeddleError `STATE_TOO_LARGE` with `{limitBytes, sizeBytes, channels: [{name, bytes}]}`, the largest first
 */
export async function storeText(
  session: Session,
  params: { readonly field: string; readonly text: string; readonly thread: Pick<ThreadDocument, "_id" | "uid"> },
): Promise<StoredText> {
  const { field, text, thread } = params;
  const sizeBytes = Buffer.byteLength(text);
  if (sizeBytes <= INLINE_BYTES) return { text };
  if (sizeBytes > MAX_BLOB_BYTES) throw tooLarge(field, text, sizeBytes);
  const blob: BlobDocument = {
    _id: randomUUID(),
    thread: thread.uid,
    threadId: thread._id,
    createdAt: session.now(),
    text,
  };
  await session.retrying(() => insertOnce(session.blobs, blob));
  return { blob: blob._id };
}

/** Blobs that are not named any more. What cannot be removed now is swept later. */
export function forgetBlobs(session: Session, texts: readonly (StoredText | null | undefined)[]): void {
  const ids = texts.flatMap((stored) => (stored && "blob" in stored ? [stored.blob] : []));
  if (ids.length > 0) void session.blobs.deleteMany({ _id: { $in: ids } }).catch(() => undefined);
}

/**
 * Texts by their blobs' ids.
 * @returns without those that are missing: their thread has newer ones
 */
export async function readBlobs(
  session: Session,
  texts: readonly (StoredText | null)[],
): Promise<ReadonlyMap<string, string>> {
  const ids = texts.flatMap((stored) => (stored !== null && "blob" in stored ? [stored.blob] : []));
  if (ids.length === 0) return new Map();
  const found = await session.retrying(() => session.blobs.find({ _id: { $in: ids } }).toArray());
  return new Map(found.map(({ _id, text }) => [_id, text]));
}

/** @returns `undefined` when its blob is missing */
export function textOf(stored: StoredText | null, blobs: ReadonlyMap<string, string>): JsonText | null | undefined {
  if (stored === null) return null;
  const text = "text" in stored ? stored.text : blobs.get(stored.blob);
  return text === undefined ? undefined : asJsonText(text);
}

function tooLarge(field: string, text: string, sizeBytes: number): HeddleError {
  const value = parseJsonText(asJsonText(text));
  const channels = (isJsonObject(value) ? Object.keys(value) : [])
    .map((name) => ({
      name,
      bytes: isJsonObject(value) ? Buffer.byteLength(toJsonText(value[name])) : 0,
    }))
    .sort((a, b) => b.bytes - a.bytes)
    .slice(0, NAMED_CHANNELS);
  const [largest] = channels;
  return new HeddleError("STATE_TOO_LARGE", {
    message:
      `The thread's ${field} have ${mebibytes(sizeBytes)} as JSON; MongoDB stores at most ${mebibytes(MAX_BLOB_BYTES)} in one document.` +
      (largest === undefined ? "" : ` The largest channel is "${largest.name}" with ${mebibytes(largest.bytes)}.`),
    details: { limitBytes: MAX_BLOB_BYTES, sizeBytes, channels },
  });
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}
