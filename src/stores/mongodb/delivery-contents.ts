import { randomUUID } from "node:crypto";
import { isTerminal } from "../../core/run-lifecycle.js";
import { asJsonText, type EpochMs } from "../../core/json.js";
import type { Run, RunKwargs } from "../../core/run.js";
import { type DeliveryContent, deliveryIdOf, type QueuedMessage, type RunEndContent } from "../../core/webhook.js";
import { kwargsText } from "../../core/kwargs-text.js";
import type { DeliveryDocument, EndedEntry, QueueEntry, RunningEntry, ThreadDocument } from "./documents.js";
import { insertOnce } from "./insert-once.js";
import { placeOf, runOf } from "./rows.js";
import type { Session } from "./session.js";
import { readTexts } from "./thread-state.js";

/**
 * Ends of runs as their thread's document will name them, after writing down what those that have a webhook will say. It counts only
 * once the thread's change does: each try writes another one, which nobody but its own change names, and what stays unnamed is swept.
 * @param thread as it was read, with these runs in flight
 * @param values of the thread, where the same change sets them
 */
export async function withDeliveries(
  session: Session,
  thread: ThreadDocument,
  ended: readonly EndedEntry[],
  values?: string,
): Promise<readonly EndedEntry[]> {
  const inflight: readonly (QueueEntry | RunningEntry | null)[] = [thread.running, ...thread.queue];
  return Promise.all(
    ended.map(async (entry): Promise<EndedEntry> => {
      const before = inflight.find((one) => one?.runId === entry.runId);
      const host = before?.webhook;
      if (before === undefined || before === null || host === undefined || entry.end === "deleted") return entry;
      const document = await session.retrying(() => session.runs.findOne({ _id: entry.runId, thread: thread.uid }));
      const place = document && placeOf({ running: null, queue: [], ended: [entry] }, document);
      if (document === null || place === null) return entry;
      const contentId = await writeContent(session, {
        run: runOf(document, place),
        startedAt: "lease" in before ? before.updatedAt : null,
        values: values ?? (await valuesOf(session, thread)),
      });
      return { ...entry, webhook: { host, assistantId: document.assistantId, contentId } };
    }),
  );
}

async function valuesOf(session: Session, { _id, uid }: ThreadDocument): Promise<string | null> {
  const thread = await session.retrying(() => session.threads.findOne({ _id, uid }));
  const found = thread === null ? null : await readTexts(session, thread);
  return found?.texts.values ?? null;
}

async function writeContent(
  session: Session,
  content: Pick<RunEndContent, "run" | "startedAt"> & { readonly values: string | null },
): Promise<string> {
  const { run, startedAt, values } = content;
  const _id = randomUUID();
  const createdAt = session.now();
  const { kwargs, error, ...rest } = run;
  const { runId, threadId } = run;
  const texts = { run: JSON.stringify(rest), kwargs: kwargsText(kwargs), error };
  const document = { _id, createdAt, runId, ...texts, startedAt, hasValues: values !== null };
  if (values !== null) {
    const text = { _id: valuesId(_id), threadId, createdAt, text: values };
    await session.retrying(() => insertOnce(session.deliveryValues, text));
  }
  await session.retrying(() => insertOnce(session.deliveryContents, document));
  return _id;
}

export async function writeMessage(
  session: Session,
  { deliveryId, message }: Pick<QueuedMessage, "deliveryId" | "message">,
): Promise<string> {
  const document = { _id: randomUUID(), createdAt: session.now(), deliveryId, message };
  await session.retrying(() => insertOnce(session.deliveryContents, document));
  return document._id;
}

/** @returns `null` when it is gone */
export async function readContent(session: Session, contentId: string): Promise<DeliveryContent | null> {
  const found = await session.retrying(() => session.deliveryContents.findOne({ _id: contentId }));
  if (found === null) return null;
  if ("message" in found) return { kind: "message", message: asJsonText(found.message) };
  const rest = JSON.parse(found.run) as Omit<Run, "kwargs" | "error">;
  const kwargs = JSON.parse(found.kwargs) as RunKwargs;
  const run: Run = { ...rest, kwargs, error: found.error === null ? null : asJsonText(found.error) };
  if (!isTerminal(run.status)) throw new TypeError(`delivery content ${contentId} is of a run that has not ended`);
  const values = found.hasValues
    ? await session.retrying(() => session.deliveryValues.findOne({ _id: valuesId(contentId) }))
    : null;
  return { kind: "run", run, startedAt: found.startedAt, values: values === null ? null : asJsonText(values.text) };
}

export async function removeContents(session: Session, contentIds: readonly string[]): Promise<void> {
  if (contentIds.length === 0) return;
  await session.retrying(() => session.deliveryContents.deleteMany({ _id: { $in: [...contentIds] } }));
  await session.retrying(() => session.deliveryValues.deleteMany({ _id: { $in: contentIds.map(valuesId) } }));
}

/** The delivery that an end asks for: none, or one. */
export function deliveryOfEnd(threadId: string, { runId, webhook, updatedAt }: EndedEntry): DeliveryDocument[] {
  if (webhook === undefined) return [];
  return [pendingDelivery({ _id: deliveryIdOf(runId), runId, threadId, ...webhook }, updatedAt)];
}

/** A delivery that nobody has tried yet. */
export function pendingDelivery(
  ids: Pick<DeliveryDocument, "_id" | "runId" | "threadId" | "assistantId" | "host" | "contentId">,
  now: EpochMs,
): DeliveryDocument {
  return {
    ...ids,
    status: "pending",
    createdAt: now,
    updatedAt: now,
    pendingSince: now,
    nextAttemptAt: now,
    leaseToken: 0,
    attempts: 0,
    failures: 0,
    log: "[]",
  };
}

function valuesId(contentId: string): string {
  return `${contentId}:values`;
}
