import type { AccessFilter } from "../../core/auth.js";
import { toJsonText } from "../../core/json.js";
import type { ClaimRequest, CreateRunOutcome, NewRun, SupersededRun } from "../../core/metadata-store.js";
import { decideMultitask } from "../../core/multitask.js";
import type { CancelAction } from "../../core/run.js";
import { runMetadata, strongerCancel, withRunIds } from "../run-rules.js";
import { parseObject, runOf, type RunColumns, type ThreadColumns } from "./rows.js";
import { deleteRun, endRun, inflightRuns, startRun } from "./run-rows.js";
import type { Session } from "./session.js";
import { changeThread, findThread, insertThread, showsMetadata } from "./thread-rows.js";

/** `runs.create` of the SQLite store: one transaction. */
export function createRun(
  session: Session,
  params: { readonly draft: NewRun; readonly claim?: ClaimRequest; readonly access: AccessFilter },
): Promise<CreateRunOutcome> {
  const { draft, claim, access } = params;
  const kwargs = JSON.stringify(draft.kwargs);
  const config = toJsonText(draft.assistantConfig);
  return session.write((): CreateRunOutcome => {
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
      });
    const { cancelInflight } = decision;
    const superseded = cancelInflight === null ? [] : inflight.map((row) => supersede(session, row, cancelInflight));
    const left =
      superseded.filter((run) => run.was === "running").length + (cancelInflight === null ? inflight.length : 0);

    const inserted = insertRun(session, thread, draft, toJsonText(runMetadata(metadata, draft)));
    session.sql("INSERT INTO run_kwargs (run, kwargs) VALUES (?, ?)").run(inserted.id, kwargs);
    const leased = claim !== undefined && left === 0 && draft.delayMs === 0;
    const row = leased ? startRun(session, inserted, claim) : inserted;
    changeThread(session, thread, {
      queueChanged: true,
      updatedAt: row.created_at,
      config,
      metadata: toJsonText(metadata),
      ...(draft.kwargs.temporary ? {} : { temporary: false }),
    });
    return {
      kind: "created",
      run: runOf(row, draft.kwargs),
      lease: leased ? { runId: row.run_id, leaseToken: row.lease_token } : null,
      superseded,
    };
  });
}

function supersede(session: Session, row: RunColumns, action: CancelAction): SupersededRun {
  const ref = { runId: row.run_id, threadId: row.thread_id, temporary: row.temporary === 1 };
  // A pending run that a worker has held before may have left checkpoints: the next worker undoes or keeps them.
  if (row.status === "running" || row.lease_token > 0) {
    const stronger = strongerCancel(row.cancel_action, action);
    session.sql("UPDATE runs SET cancel_action = ? WHERE id = ?").run(stronger, row.id);
    return { ...ref, action: stronger, was: "running" };
  }
  if (action === "rollback") deleteRun(session, row);
  else endRun(session, row, "interrupted", null);
  return { ...ref, action, was: "pending" };
}

function insertRun(session: Session, thread: ThreadColumns, draft: NewRun, metadata: string): RunColumns {
  const now = session.clock.now();
  const temporary = draft.kwargs.temporary ? 1 : 0;
  const dueAt = now + draft.delayMs;
  const { lastInsertRowid } = session
    .sql(
      `INSERT INTO runs (run_id, thread, assistant_id, graph_id, created_at, updated_at, due_at, status, metadata,
         multitask_strategy, temporary) VALUES (?, ?, ?, ?, ?, ?, ?, 'pending', ?, ?, ?)`,
    )
    .run(
      draft.runId,
      thread.id,
      draft.assistantId,
      draft.graphId,
      now,
      now,
      dueAt,
      metadata,
      draft.multitaskStrategy,
      temporary,
    );
  return {
    id: Number(lastInsertRowid),
    run_id: draft.runId,
    thread: thread.id,
    thread_id: thread.thread_id,
    thread_metadata: thread.metadata,
    assistant_id: draft.assistantId,
    graph_id: draft.graphId,
    created_at: now,
    updated_at: now,
    due_at: dueAt,
    status: "pending",
    metadata,
    multitask_strategy: draft.multitaskStrategy,
    temporary,
    attempt: 0,
    error: null,
    lease_token: 0,
    worker_id: null,
    lease_until: null,
    cancel_action: null,
  };
}
