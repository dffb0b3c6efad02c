import { randomUUID } from "node:crypto";
import { HeddleError } from "../../core/errors.js";
import type { EpochMs } from "../../core/json.js";
import type { RecordKey } from "../../core/record.js";
import { isDuplicateKey } from "../../databases/mongodb/failures.js";
import { ownerDigest } from "../record-keys.js";
import type { RecordRow, RecordStep } from "../record-steps.js";
import { insertOnce } from "./insert-once.js";
import { documentId, pendingChanges, type RecordDocument, recordDocument, rowOfDocument } from "./record-documents.js";
import type { Session } from "./session.js";

/** MongoDB's limit of 16 MiB, less what its own fields may take. */
const MAX_DOCUMENT_BYTES = 16 * 1024 * 1024 - 16 * 1024;
const MAX_TRIES = 100;

/** What a change made of a record. */
export interface ChangedRecord<Step> {
  readonly step: Step;
  /** `null`: nothing was there. */
  readonly before: RecordRow | null;
  /** As it is now, with the place in the owner's order; `null`: nothing is left, or nothing was changed. */
  readonly after: RecordRow | null;
  /** Of this write; `null`: nothing was changed. */
  readonly rev: string | null;
}

/**
 * Change a record in one update of its document, from the very state that `decide` saw: whoever is slower reads and decides again.
 * What it tells of lies in the document itself, so that both are there or neither is; the next change takes it to where it is read
 * in order.
 * @param decide a step with `row` and `changes`; `null` row: nothing is left. What has no `row` changes nothing. A new row's `sequence`
 *   is 0.
 */
export function changeRecord<Step extends object>(
  session: Session,
  key: RecordKey,
  decide: (row: RecordRow | null, now: EpochMs, rev: string | null) => Step,
): Promise<ChangedRecord<Step>> {
  const _id = documentId(key);
  const name = randomUUID();
  return session.inTurn(`record ${_id}`, async () => {
    for (let tries = 0; tries < MAX_TRIES; tries += 1) {
      const found = await session.retrying(() => session.records.findOne({ _id }));
      const before = found && rowOfDocument(found);
      const step = decide(before, session.now(), found?.rev ?? null);
      if (!isStep(step)) return { step, before, after: null, rev: null };
      const after = await withSequence(session, step.row);
      if (found !== null) await handOver(session, found);
      const { changes } = step;
      const document = after && recordDocument(after, { name, names: found?.names ?? [], changes });
      if (document !== null) checkSize(session, document);
      if (await replace(session, { _id, found, document })) return { step, before, after, rev: name };
      const now = await session.retrying(() => session.records.findOne({ _id }));
      // It was done, and its answer was lost.
      if (now?.names.includes(name) === true) return { step, before, after, rev: name };
    }
    throw new HeddleError("STORAGE_UNAVAILABLE", {
      message: `MongoDB ${session.database.name}: the record "${key.key}" is changed too often at once.`,
    });
  });
}

function isStep(step: object): step is RecordStep {
  return "row" in step;
}

/** The next place in an owner's order: counted by the database, so that it is the order of writes of all processes. */
async function withSequence(session: Session, row: RecordRow | null): Promise<RecordRow | null> {
  if (row === null || row.sequence > 0) return row;
  const _id = ownerDigest(row).toString("base64url");
  const count = () =>
    session.recordCounters.findOneAndUpdate({ _id }, { $inc: { last: 1 } }, { upsert: true, returnDocument: "after" });
  for (;;) {
    try {
      const counter = await session.retrying(count);
      return { ...row, sequence: counter?.last ?? 1 };
    } catch (error) {
      // Two made the counter at once.
      if (!isDuplicateKey(error)) throw error;
    }
  }
}

/** Write what a document still has to tell of to where it stays. Twice is once. */
async function handOver(session: Session, found: RecordDocument): Promise<void> {
  for (const change of pendingChanges(found)) await session.retrying(() => insertOnce(session.recordChanges, change));
}

async function replace(
  session: Session,
  write: { readonly _id: string; readonly found: RecordDocument | null; readonly document: RecordDocument | null },
): Promise<boolean> {
  const { records } = session;
  const { _id, found, document } = write;
  if (found === null) return document === null || session.retrying(() => insertOnce(records, document));
  const { rev } = found;
  if (document === null) return (await session.retrying(() => records.deleteOne({ _id, rev }))).deletedCount > 0;
  return (await session.retrying(() => records.replaceOne({ _id, rev }, document))).matchedCount > 0;
}

function checkSize(session: Session, document: RecordDocument): void {
  const sizeBytes = session.database.documentBytes(document);
  if (sizeBytes <= MAX_DOCUMENT_BYTES) return;
  throw new HeddleError("PAYLOAD_TOO_LARGE", {
    message:
      `The record "${document.key}" takes ${sizeBytes} bytes${document.pending === undefined ? "" : " with the value before it"}; ` +
      `MongoDB stores at most ${MAX_DOCUMENT_BYTES} in one document.`,
    details: { limitBytes: MAX_DOCUMENT_BYTES, sizeBytes },
  });
}
