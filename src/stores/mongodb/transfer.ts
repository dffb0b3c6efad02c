import type { FindCursor } from "mongodb";
import type { RowTransfer, TransferKind, TransferRow } from "../../core/row-transfer.js";
import {
  apiKeyRow,
  assistantRow,
  cronRow,
  itemRow,
  recordKeyParts,
  recordRow,
  runRow,
  threadRow,
  versionKeyParts,
  versionRow,
} from "../transfer-rows.js";
import { apiKeyOf } from "./api-keys.js";
import { cronOf } from "./crons.js";
import { locateRuns } from "./list-runs.js";
import { documentId, rowOfDocument } from "./record-documents.js";
import { transferredItem } from "./item-documents.js";
import { assistantOf, runOf, threadOf, versionOf } from "./rows.js";
import type { Session } from "./session.js";
import { readTexts } from "./thread-state.js";
import { createTransferWriters } from "./transfer-write.js";
import { readVersions } from "./versions.js";

/** A page ends once it holds this much: rows with large states are read a few at a time. */
const PAGE_CHARACTERS = 4 * 1024 * 1024;
/** Runs are held against their threads this many at a time. */
const RUNS_PER_READ = 100;

type Reader = (after: string | null, limit: number) => Promise<readonly TransferRow[]>;

/** Rows of a MongoDB database in and out, in the order of `_id`. */
export function createMongoTransfer(session: Session): RowTransfer {
  const { assistants, threads, runs, items, apiKeys } = session;
  const writers = createTransferWriters(session);

  const beyond = (after: string | null): { readonly _id?: { readonly $gt: string } } =>
    after === null ? {} : { _id: { $gt: after } };

  const readers: Readonly<Record<TransferKind, Reader>> = {
    assistants: (after, limit) =>
      session.retrying(() =>
        page(assistants.find(beyond(after)).sort({ _id: 1 }).limit(limit), limit, async (document) =>
          assistantRow(assistantOf(document)),
        ),
      ),

    async assistantVersions(after, limit) {
      const from = after === null ? null : versionKeyParts(after);
      const filter = from === null ? {} : { _id: { $gte: from.assistantId } };
      return session.retrying(async () => {
        const rows: TransferRow[] = [];
        for await (const assistant of assistants.find(filter).sort({ _id: 1 })) {
          const first = assistant._id === from?.assistantId ? from.version : 0;
          for (const version of (await readVersions(session, assistant)).toReversed()) {
            if (version.version <= first) continue;
            rows.push(versionRow(versionOf(assistant._id, version, version.createdAt)));
            if (rows.length >= limit) return rows;
          }
        }
        return rows;
      });
    },

    threads: (after, limit) =>
      session.retrying(() =>
        page(threads.find(beyond(after)).sort({ _id: 1 }).limit(limit), limit, async (document) => {
          const read = await readTexts(session, document);
          if (read === null) return null;
          const { settledStatus, temporary, watched = false } = read.thread;
          const { error } = read.texts;
          return threadRow(threadOf(read.thread, read.texts), { settledStatus, error, temporary, watched });
        }),
      ),

    async runs(after, limit) {
      let last = after;
      for (;;) {
        const filter = beyond(last);
        const batch = await session.retrying(() =>
          runs.find(filter).sort({ _id: 1 }).limit(Math.min(limit, RUNS_PER_READ)).toArray(),
        );
        const located = await locateRuns(session, batch);
        const rows = located.map(({ run, place }) => {
          const { leaseToken, entry } = place;
          return runRow(runOf(run, place), { leaseToken, cancelRequested: entry?.cancel ?? null });
        });
        last = batch.at(-1)?._id ?? null;
        // A page of runs that do not count yet is not the end.
        if (rows.length > 0 || last === null) return rows;
      }
    },

    crons: (after, limit) =>
      session.retrying(() =>
        page(session.crons.find(beyond(after)).sort({ _id: 1 }).limit(limit), limit, async (document) =>
          cronRow(cronOf(document)),
        ),
      ),

    items: (after, limit) =>
      session.retrying(() =>
        page(items.find(beyond(after)).sort({ _id: 1 }).limit(limit), limit, async (document) =>
          itemRow(transferredItem(document)),
        ),
      ),

    apiKeys: (after, limit) =>
      session.retrying(() =>
        page(apiKeys.find(beyond(after)).sort({ _id: 1 }).limit(limit), limit, async (document) =>
          apiKeyRow(apiKeyOf(document)),
        ),
      ),

    records: (after, limit) =>
      session.retrying(() => {
        const filter = beyond(after === null ? null : documentId(recordKeyParts(after)));
        return page(session.records.find(filter).sort({ _id: 1 }).limit(limit), limit, async (document) =>
          recordRow(rowOfDocument(document)),
        );
      }),
  };

  return {
    read: ({ kind, after, limit }) => readers[kind](after, limit),
    write: ({ kind, rows }) => writers[kind](rows),
  };
}

async function page<Document>(
  cursor: FindCursor<Document>,
  limit: number,
  rowOf: (document: Document) => Promise<TransferRow | null>,
): Promise<readonly TransferRow[]> {
  const rows: TransferRow[] = [];
  let characters = 0;
  for await (const document of cursor) {
    const row = await rowOf(document);
    if (row === null) continue;
    rows.push(row);
    characters += JSON.stringify(row).length;
    if (rows.length >= limit || characters >= PAGE_CHARACTERS) break;
  }
  return rows;
}
