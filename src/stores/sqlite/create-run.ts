import type { AccessFilter } from "../../core/auth.js";
import { toJsonText } from "../../core/json.js";
import type { ClaimRequest, CreateRunOutcome, NewRun, SupersededRun } from "../../core/metadata-store.js";
import { decideMultitask } from "../../core/multitask.js";
import type { CancelAction } from "../../core/run.js";
import { kwargsText } from "../../core/kwargs-text.js";
import { runMetadata, withRunIds } from "../run-rules.js";
import { insertDelivery } from "./delivery-rows.js";
import { parseObject, runOf, type RunColumns, type ThreadColumns } from "./rows.js";
import { cancelLater, deleteRun, endRun, inflightRuns } from "./run-rows.js";
import type { Session } from "./session.js";
import { changeThread, findThread, insertThread, showsMetadata } from "./thread-rows.js";

/** `runs.create` of the SQLite store: one transaction. */
export async function createRun(
  session: Session,
  params: { readonly draft: NewRun; readonly claim?: ClaimRequest; readonly access: AccessFilter },
): Promise<CreateRunOutcome> {
  const kwargs = kwargsText(params.draft.kwargs);
  return session.write(() => createRunNow(session, { ...params, kwargs }));
}

/**
 * The same within the caller's transaction.
 * @param params.kwargs of the draft, serialised
 */
export function createRunNow(
  session: Session,
  params: {
    readonly draft: NewRun;
    readonly claim?: ClaimRequest;
    readonly access: AccessFilter;
    readonly kwargs: string;
  },
): CreateRunOutcome {
  const { draft, claim, access, kwargs } = params;
  const config = toJsonText(draft.assistantConfig);
  const existing = findThread(session, draft.threadId);
  if (existing === undefined ? !draft.createThread : !showsMetadata(access, existing.metadata)) {
    return { kind: "no-thread" };
  }
  // A thread that is not busy has no run in flight.
  const inflight = existing?.status === "busy" ? inflightRuns(session, existing.id) : [];
  const decision = decideMultitask(draft.multitaskStrategy, inflight.length);
  if (decision.kind === "refuse") {
    return { kind: "busy", inflight: inflight.map((row) => ({ runId: row.run_id, threadId: draft.threadId })) };
  }
  const metadata = withRunIds(existing === undefined ? draft.metadata : parseObject(existing.metadata), draft);
  const thread =
    existing ??
    insertThread(session, {
      threadId: draft.threadId,
      metadata: toJsonText(metadata),
      config,
      temporary: draft.kwargs.temporary,
      ttl: draft.threadTtl,
    });
  const { cancelInflight } = decision;
  const superseded = cancelInflight === null ? [] : inflight.map((row) => supersede(session, row, cancelInflight));
  const left =
    superseded.filter((run) => run.was === "running").length + (cancelInflight === null ? inflight.length : 0);

  const leased = claim !== undefined && left === 0 && draft.delayMs === 0;
  const row = insertRun(session, thread, draft, {
    metadata: toJsonText(runMetadata(metadata, draft)),
    claim: leased ? claim : null,
  });
  session.sql("INSERT INTO run_kwargs (run, kwargs) VALUES (?, ?)").run(row.id, kwargs);
  const changed = changeThread(session, thread, {
    queueChanged: true,
    updatedAt: row.created_at,
    config,
    metadata: toJsonText(metadata),
    ...(draft.kwargs.temporary ? {} : { temporary: false }),
    ...(draft.watched === true && { watched: true }),
  });
  return {
    kind: "created",
    run: runOf(row, draft.kwargs),
    lease: leased ? { runId: row.run_id, leaseToken: row.lease_token } : null,
    superseded,
    watched: changed.watched === 1,
  };
}

function supersede(session: Session, row: RunColumns, action: CancelAction): SupersededRun {
  const ref = { runId: row.run_id, threadId: row.thread_id, temporary: row.temporary === 1 };
  // A pending run that a worker has held before may have left checkpoints: the next worker undoes or keeps them.
  if (row.status === "running" || row.lease_token > 0) {
    return { ...ref, action: cancelLater(session, row, action), was: "running" };
  }
  if (action === "rollback") deleteRun(session, row);
  else insertDelivery(session, endRun(session, row, "interrupted", null), null);
  return { ...ref, action, was: "pending" };
}

/** Insert a run: pending, or already running for the worker that claims it. */
function insertRun(
  session: Session,
  thread: ThreadColumns,
  draft: NewRun,
  made: { readonly metadata: string; readonly claim: ClaimRequest | null },
): RunColumns {
  const { metadata, claim } = made;
  const now = session.clock.now();
  const columns = {
    run_id: draft.runId,
    thread: thread.id,
    assistant_id: draft.assistantId,
    graph_id: draft.graphId,
    created_at: now,
    updated_at: now,
    due_at: now + draft.delayMs,
    status: claim === null ? ("pending" as const) : ("running" as const),
    metadata,
    multitask_strategy: draft.multitaskStrategy,
    temporary: draft.kwargs.temporary ? (1 as const) : (0 as const),
    attempt: claim === null ? 0 : 1,
    lease_token: claim === null ? 0 : 1,
    worker_id: claim?.workerId ?? null,
    lease_until: claim === null ? null : now + claim.leaseMs,
    heartbeat_at: claim === null ? null : now,
  };
  const { lastInsertRowid } = session.sql(INSERT_RUN).run(columns);
  return {
    id: Number(lastInsertRowid),
    ...columns,
    thread_id: thread.thread_id,
    thread_metadata: thread.metadata,
    error: null,
    retry_at: null,
    cancel_action: null,
  };
}

const INSERTED = [
  "run_id",
  "thread",
  "assistant_id",
  "graph_id",
  "created_at",
  "updated_at",
  "due_at",
  "status",
  "metadata",
  "multitask_strategy",
  "temporary",
  "attempt",
  "lease_token",
  "worker_id",
  "lease_until",
  "heartbeat_at",
];
const INSERT_RUN = `INSERT INTO runs (${INSERTED.join(", ")}) VALUES (${INSERTED.map((name) => `@${name}`).join(", ")})`;
