import type { EpochMs } from "../../core/json.js";
import type { RecordStore, RecordWrite, StoredRecord } from "../../core/record.js";
import { endStep, isLive, recordOf, type RecordRow, visible, writeStep } from "../record-steps.js";
import { changeRecord } from "./record-change.js";
import { documentId, rowOfDocument } from "./record-documents.js";
import type { Session } from "./session.js";

type Outcome = Awaited<ReturnType<RecordStore["writeAll"]>>;

/** A record that this has written: what it was before the first write, and the name of the last one. */
interface Touched {
  readonly write: RecordWrite;
  readonly before: RecordRow | null;
  readonly rev: string | null;
}

/** The step of one write, for `changeRecord`. */
export function writing(write: RecordWrite) {
  return (row: RecordRow | null, now: EpochMs) => writeStep(row, write, { now, sequence: () => 0 });
}

/**
 * Several writes, in their order. Everything that is expected is looked at before anything is written, so only what others write
 * meanwhile has to be undone.
 */
export async function writeRecords(session: Session, writes: readonly RecordWrite[]): Promise<Outcome> {
  const refusal = await foreseen(session, writes);
  if (refusal !== null) return refusal;
  const touched = new Map<string, Touched>();
  const records: StoredRecord[] = [];
  try {
    for (const [index, write] of writes.entries()) {
      const { step, before, after, rev } = await changeRecord(session, write, writing(write));
      if (step.kind === "conflict") {
        await undo(session, touched);
        return { kind: "conflict", index, current: step.current };
      }
      const id = documentId(write);
      const first = touched.get(id);
      touched.set(id, { write, before: first === undefined ? before : first.before, rev });
      if (after !== null && isLive(after)) records.push(recordOf(after));
    }
  } catch (error) {
    await undo(session, touched).catch(() => undefined);
    throw error;
  }
  return { kind: "written", records };
}

/** The conflict that there is already. */
async function foreseen(session: Session, writes: readonly RecordWrite[]): Promise<Outcome | null> {
  const expecting = writes.filter(({ expected }) => expected !== undefined);
  if (expecting.length === 0) return null;
  const ids = [...new Set(writes.map(documentId))];
  const found = await session.retrying(() => session.records.find({ _id: { $in: ids } }).toArray());
  const rows = new Map<string, RecordRow>(found.map((document) => [document._id, rowOfDocument(document)]));
  const now = session.now();
  for (const [index, write] of writes.entries()) {
    const id = documentId(write);
    const step = writing(write)(rows.get(id) ?? null, now);
    if (step.kind === "conflict") return { ...step, index };
    rows.set(id, step.row);
  }
  return null;
}

/**
 * Bring back what was there, unless others have written since. Versions go on: somebody may have seen those of what is undone.
 */
async function undo(session: Session, touched: ReadonlyMap<string, Touched>): Promise<void> {
  for (const { write, before, rev } of [...touched.values()].toReversed()) {
    await changeRecord(session, write, (row, now, current) => {
      if (row === null || !isLive(row) || current !== rev) return {};
      const tracked = write.tracked ?? false;
      const old = visible(before, now);
      if (old === null) return endStep(row, tracked, now);
      const version = row.version + 1;
      const change = { key: row.key, version, previous: row.value, value: old.value, at: now };
      return { row: { ...old, version, disposable: row.disposable }, changes: tracked ? [change] : [] };
    });
  }
}
