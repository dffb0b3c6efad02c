import { randomUUID } from "node:crypto";
import { HeddleError } from "../../core/errors.js";
import { termsOf } from "../../core/filter-terms.js";
import { namespaceText } from "../../core/item-namespace.js";
import { embeddingFields } from "./item-documents.js";
import { type JsonValue, toJsonText } from "../../core/json.js";
import type { TransferKind, TransferredRecord, TransferredRun, TransferRow } from "../../core/row-transfer.js";
import { inBulks } from "../../databases/mongodb/bulk.js";
import { kwargsText } from "../../core/kwargs-text.js";
import { columnText, valueOf } from "../transfer-rows.js";
import { apiKeyDocument } from "./api-keys.js";
import { storeText } from "./blobs.js";
import type { AssistantDocument, QueueEntry, RunDocument, StoredText, ThreadDocument } from "./documents.js";
import { putCron } from "./crons.js";
import { enqueued } from "./queue.js";
import { recordDocument } from "./record-documents.js";
import type { Session } from "./session.js";
import { changeThread, type Decision, newThread, type ThreadChange } from "./thread-change.js";
import { storeVersion } from "./versions.js";

type Writer = (rows: readonly TransferRow[]) => Promise<void>;

/** What writes rows of each kind. Row by row: a stand-alone server cannot take many at once or none. */
export function createTransferWriters(session: Session): Readonly<Record<TransferKind, Writer>> {
  return {
    async assistants(rows) {
      for (const row of rows) await writeAssistant(session, row);
    },
    assistantVersions: (rows) => writeVersions(session, rows),
    async threads(rows) {
      for (const row of rows) await writeThread(session, row);
    },
    runs: (rows) => writeRuns(session, rows),
    async crons(rows) {
      for (const row of rows) await putCron(session, valueOf("crons", row));
    },
    items: (rows) => writeItems(session, rows),
    async apiKeys(rows) {
      const writes = rows.map((row) => {
        const replacement = apiKeyDocument(valueOf("apiKeys", row));
        return { replaceOne: { filter: { _id: replacement._id }, replacement, upsert: true } };
      });
      for (const bulk of inBulks(writes)) await session.retrying(() => session.apiKeys.bulkWrite([...bulk]));
    },
    async records(rows) {
      for (const row of rows) await writeRecord(session, valueOf("records", row));
    },
  };
}

async function writeRecord(session: Session, record: TransferredRecord): Promise<void> {
  const document = recordDocument(record, { name: randomUUID(), names: [], changes: [] });
  const { _id, ownerId } = document;
  const { recordChanges, recordCounters, records } = session;
  await session.retrying(() => recordChanges.deleteMany({ record: _id }));
  await session.retrying(() => records.replaceOne({ _id }, document, { upsert: true }));
  const last = { $max: { last: record.sequence } };
  await session.retrying(() => recordCounters.updateOne({ _id: ownerId }, last, { upsert: true }));
}

async function writeAssistant(session: Session, row: TransferRow): Promise<void> {
  const { assistantId, config, context, metadata, ...rest } = valueOf("assistants", row);
  const existing = await session.retrying(() => session.assistants.findOne({ _id: assistantId }));
  if (existing !== null) await storeVersion(session, existing);
  const document: AssistantDocument = {
    ...rest,
    _id: assistantId,
    uid: existing?.uid ?? randomUUID(),
    rev: (existing?.rev ?? 0) + 1,
    changes: [],
    nameLower: rest.name.toLowerCase(),
    config: toJsonText(config),
    context: toJsonText(context),
    metadata: toJsonText(metadata),
    terms: termsOf(metadata),
    // Its versions follow; until then there are none.
    maxVersion: existing?.maxVersion ?? 0,
    versionedAt: rest.updatedAt,
  };
  await session.retrying(() => session.assistants.replaceOne({ _id: assistantId }, document, { upsert: true }));
}

async function writeVersions(session: Session, rows: readonly TransferRow[]): Promise<void> {
  const versions = rows.map((row) => valueOf("assistantVersions", row));
  const ids = [...new Set(versions.map(({ assistantId }) => assistantId))];
  const found = await session.retrying(() => session.assistants.find({ _id: { $in: ids } }).toArray());
  const assistants = new Map(found.map((assistant) => [assistant._id, assistant]));
  const missing = versions.find(({ assistantId }) => !assistants.has(assistantId));
  if (missing !== undefined) {
    throw new HeddleError("ASSISTANT_NOT_FOUND", {
      message: `Version ${missing.version} belongs to an assistant ${missing.assistantId} that is not there.`,
    });
  }
  for (const { assistantId, config, context, metadata, ...rest } of versions) {
    const assistant = assistants.get(assistantId)?.uid ?? "";
    const _id = `${assistant}:${rest.version}`;
    const document = {
      ...rest,
      _id,
      assistant,
      config: toJsonText(config),
      context: toJsonText(context),
      metadata: toJsonText(metadata),
    };
    await session.retrying(() => session.versions.replaceOne({ _id }, document, { upsert: true }));
    await session.retrying(() =>
      session.assistants.updateOne({ _id: assistantId }, { $max: { maxVersion: rest.version } }),
    );
  }
}

async function writeThread(session: Session, row: TransferRow): Promise<void> {
  const { threadId, values, interrupts, error, ...rest } = valueOf("threads", row);
  const { createdAt, updatedAt, stateUpdatedAt, settledStatus, temporary, watched, ttl } = rest;
  const metadata = toJsonText(rest.metadata);
  const config = toJsonText(rest.config);
  await changeThread(session, { threadId }, async (existing): Promise<Decision<null>> => {
    const thread = existing ?? newThread({ threadId, metadata, config, temporary, now: createdAt });
    const stored = async (field: string, value: JsonValue): Promise<StoredText | null> => {
      const text = columnText(value);
      return text === null ? null : storeText(session, { field, text, thread });
    };
    const change = {
      createdAt,
      updatedAt,
      stateUpdatedAt,
      settledStatus,
      temporary,
      watched,
      config,
      values: await stored("values", values),
      interrupts: await stored("interrupts", interrupts),
      error: await stored("error", error),
    };
    if (existing !== null) return { kind: "change", change: { ...change, ttl, metadata }, result: null };
    const expiry = ttl === null ? {} : { ttl, expiresAt: updatedAt + ttl.ttlMs };
    return { kind: "insert", thread: { ...thread, ...change, ...expiry, status: settledStatus }, result: null };
  });
}

async function writeRuns(session: Session, rows: readonly TransferRow[]): Promise<void> {
  const runs = rows.map((row) => valueOf("runs", row));
  const byThread = Map.groupBy(runs, ({ threadId }) => threadId);
  const ids = [...byThread.keys()];
  const found = await session.retrying(() =>
    session.threads.find({ _id: { $in: ids } }, { projection: { uid: 1 } }).toArray(),
  );
  const present = new Set(found.map(({ _id }) => _id));
  const missing = runs.find(({ threadId }) => !present.has(threadId));
  if (missing !== undefined) {
    throw new HeddleError("THREAD_NOT_FOUND", {
      message: `Run ${missing.runId} belongs to a thread ${missing.threadId} that is not there.`,
    });
  }
  for (const [threadId, group] of byThread) {
    await changeThread(session, { threadId }, async (thread): Promise<Decision<null>> => {
      if (thread === null) {
        throw new HeddleError("THREAD_NOT_FOUND", { message: `The thread ${threadId} was deleted meanwhile.` });
      }
      const documents = group.map((run) => runDocument(thread, run));
      const writes = documents.map((document) => ({
        replaceOne: { filter: { _id: document._id }, replacement: document, upsert: true },
      }));
      for (const bulk of inBulks(writes)) await session.retrying(() => session.runs.bulkWrite([...bulk]));
      return { kind: "change", change: queueChange(thread, group), result: null };
    });
  }
}

/** The queue follows from the runs; the thread's times stay as they were copied. */
function queueChange(thread: ThreadDocument, runs: readonly TransferredRun[]): ThreadChange {
  const written = new Set(runs.map(({ runId }) => runId));
  const others = thread.queue.filter(({ runId }) => !written.has(runId));
  const pending = runs.filter(({ status }) => status === "pending");
  return {
    queue: pending.map(entryOf).reduce(enqueued, others),
    updatedAt: thread.updatedAt,
    ...(thread.running !== null && written.has(thread.running.runId) ? { running: null } : {}),
  };
}

function entryOf({
  runId,
  dueAt,
  updatedAt,
  attempt,
  leaseToken,
  cancelRequested,
  kwargs,
}: TransferredRun): QueueEntry {
  const { temporary, webhook } = kwargs;
  return {
    runId,
    dueAt,
    updatedAt,
    attempt,
    leaseToken,
    cancel: cancelRequested,
    temporary,
    retryAt: null,
    ...(webhook !== undefined && { webhook: webhook.host }),
  };
}

function runDocument(thread: ThreadDocument, run: TransferredRun): RunDocument {
  const { runId, status, metadata, kwargs, error, cancelRequested: _, ...rest } = run;
  const isPending = status === "pending";
  return {
    ...rest,
    _id: runId,
    thread: thread.uid,
    status: isPending ? "inflight" : status,
    ...(isPending && run.dueAt > run.createdAt ? { delayedUntil: run.dueAt } : {}),
    metadata: toJsonText(metadata),
    kwargs: kwargsText(kwargs),
    temporary: kwargs.temporary,
    error: columnText(error),
  };
}

async function writeItems(session: Session, rows: readonly TransferRow[]): Promise<void> {
  const writes = rows.map((row) => {
    const { namespace, key, value, createdAt, updatedAt, ttlMs, expiresAt, embedding, vectors } = valueOf("items", row);
    const packed = vectors.map(({ path, values }) => ({ path, values: Buffer.from(values, "base64") }));
    const replacement = {
      _id: row.key,
      namespace: namespaceText(namespace),
      key,
      value: toJsonText(value),
      rev: randomUUID(),
      createdAt,
      updatedAt,
      ...(ttlMs !== null && { ttlMs }),
      ...(expiresAt !== null && { expiresAt }),
      ...embeddingFields(embedding, packed),
    };
    return { replaceOne: { filter: { _id: row.key }, replacement, upsert: true } };
  });
  for (const bulk of inBulks(writes)) await session.retrying(() => session.items.bulkWrite([...bulk]));
}
