import type { RunEvent } from "../core/run-event.js";
import type { RunRef } from "../core/run.js";
import { eventsOf, makeBatch, type BatchDocument, type EventCollections } from "./mongodb-event-documents.js";
import { findWholeHead, spill } from "./mongodb-event-logs.js";
import { eventBytes } from "./run-buffer.js";

const NOTHING = { freedBytes: 0, evictedToSeq: -1 } as const;

/** A batch and what is left of it. */
interface Change {
  readonly batch: BatchDocument;
  readonly kept: readonly RunEvent[];
}

/**
 * Delete the oldest events of a kind, as `EventStorage.evict` says. The head is told first: after a crash in between some are
 * still there that readers are told may be missing.
 */
export async function evict(
  collections: EventCollections,
  params: {
    readonly run: RunRef;
    readonly kind: "token" | "state";
    readonly beforeSeq: number;
    readonly bytes: number;
  },
): Promise<{ readonly freedBytes: number; readonly evictedToSeq: number }> {
  const { run, kind, beforeSeq } = params;
  let head = await findWholeHead(collections, run);
  if (head === null) return NOTHING;
  if ((head.tail[0]?.first ?? beforeSeq) < beforeSeq) head = await spill(collections, head);
  const { _id, logId, newestState } = head;
  const size = kind === "token" ? "tokenBytes" : "stateBytes";
  const changes: Change[] = [];
  let freedBytes = 0;
  let evictedToSeq = -1;
  const oldest = collections.batches.find({ logId, first: { $lt: beforeSeq }, [size]: { $gt: 0 } });
  for await (const batch of oldest.sort({ last: 1 })) {
    if (freedBytes >= params.bytes) break;
    const kept: RunEvent[] = [];
    for (const event of await eventsOf(collections, batch)) {
      const isDoomed = event.kind === kind && event.seq < beforeSeq && event.seq !== newestState;
      if (!isDoomed || (freedBytes >= params.bytes && event.seq > evictedToSeq)) {
        kept.push(event);
        continue;
      }
      // A second document may repeat it.
      if (event.seq <= evictedToSeq) continue;
      freedBytes += eventBytes(event);
      evictedToSeq = event.seq;
    }
    changes.push({ batch, kept });
  }
  if (evictedToSeq < 0) return NOTHING;
  const evictedTo = { [kind === "token" ? "tokensTo" : "statesTo"]: evictedToSeq };
  await collections.heads.updateOne({ _id, logId }, { $max: evictedTo, $inc: { bytes: -freedBytes } });
  await apply(collections, changes);
  return { freedBytes, evictedToSeq };
}

async function apply(collections: EventCollections, changes: readonly Change[]): Promise<void> {
  const { batches, parts } = collections;
  const emptied = changes.filter(({ kept }) => kept.length === 0).map(({ batch }) => batch._id);
  if (emptied.length > 0) await batches.deleteMany({ _id: { $in: emptied } });
  for (const { batch, kept } of changes) {
    if (kept.length === 0) continue;
    const { _id, logId } = batch;
    await batches.replaceOne({ _id }, { logId, ...(await makeBatch(collections, logId, kept)) });
  }
  const ids = changes.flatMap(({ batch }) => batch.parts ?? []);
  if (ids.length > 0) await parts.deleteMany({ _id: { $in: ids } });
}
