import { CHANGES_KEPT_MS, type RecordKey, type RecordStore, TOMBSTONES_KEPT_MS } from "../../core/record.js";
import { collectionDigest } from "../record-keys.js";
import { endQuietly, expireStep, isLive, keyOf } from "../record-steps.js";
import { changeRecord } from "./record-change.js";
import type { Session } from "./session.js";

/** Records that are ended at the same time. */
const AT_ONCE = 20;

/** @returns how many could be seen */
export async function removeCollection(
  session: Session,
  params: Parameters<RecordStore["removeCollection"]>[0],
): Promise<number> {
  const { records } = session;
  const collectionId = collectionDigest(params).toString("base64url");
  const living = { collectionId, goneAt: { $exists: false } };
  const found = await session.retrying(() => records.find(living, { projection: { value: 0, pending: 0 } }).toArray());
  const now = session.now();
  const seen = found.filter(({ expiresAt }) => expiresAt === undefined || expiresAt > now).length;
  // Nothing is kept of these, so they go at once; one that is no longer disposable stays for the rest.
  await session.retrying(() => records.deleteMany({ collectionId, disposable: true }));
  await inBatches(
    found.filter(({ disposable }) => !disposable),
    async (document) =>
      void (await changeRecord(session, document, (row, at) =>
        row !== null && isLive(row) ? { row: endQuietly(row, at), changes: [] } : {},
      )),
  );
  return seen;
}

export async function sweepExpired(
  session: Session,
  { limit, except = [] }: Parameters<RecordStore["sweepExpired"]>[0],
): Promise<readonly RecordKey[]> {
  const { records } = session;
  await forget(session);
  if (limit <= 0) return [];
  const due = { expiresAt: { $lte: session.now() }, space: { $nin: [...except] } };
  const options = { projection: { value: 0, pending: 0 } } as const;
  const found = await session.retrying(() =>
    records.find(due, options).sort({ expiresAt: 1, _id: 1 }).limit(limit).toArray(),
  );
  const swept = new Set<string>();
  await inBatches(found, async (document) => {
    const { rev } = await changeRecord(session, document, (row, now) => {
      const step = expireStep(row, now);
      // Somebody else was faster, or wrote it anew.
      return step.row === row ? {} : step;
    });
    if (rev !== null) swept.add(document._id);
  });
  return found.filter(({ _id }) => swept.has(_id)).map((document): RecordKey => keyOf(document));
}

/** Old changes, also those that nobody came to take, and versions of what is gone. */
async function forget(session: Session): Promise<void> {
  const now = session.now();
  const old = now - CHANGES_KEPT_MS;
  await session.retrying(() => session.recordChanges.deleteMany({ at: { $lte: old } }));
  await session.retrying(() =>
    session.records.updateMany({ pendingAt: { $lte: old } }, { $unset: { pending: "", pendingAt: "" } }),
  );
  await session.retrying(() => session.records.deleteMany({ goneAt: { $lte: now - TOMBSTONES_KEPT_MS } }));
}

async function inBatches<T>(all: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  for (let start = 0; start < all.length; start += AT_ONCE) {
    await Promise.all(all.slice(start, start + AT_ONCE).map(work));
  }
}
