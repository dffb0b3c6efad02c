import type { AccessFilter } from "../../core/auth.js";
import { copyJson } from "../../core/json.js";
import type { ClaimRequest, CreateRunOutcome, NewRun, SupersededRun } from "../../core/metadata-store.js";
import { decideMultitask } from "../../core/multitask.js";
import type { CancelAction, RunKwargs } from "../../core/run.js";
import { kwargsText } from "../../core/kwargs-text.js";
import { runMetadata, strongerCancel, withRunIds } from "../run-rules.js";
import type { RunRow, ThreadRow } from "./rows.js";
import { runOf } from "./rows.js";
import type { Tables } from "./tables.js";

/** `runs.create` of the memory store. What can throw comes before the first change. */
export function createRun(
  tables: Tables,
  params: { readonly draft: NewRun; readonly claim?: ClaimRequest; readonly access: AccessFilter },
): CreateRunOutcome {
  const { draft, claim, access } = params;
  const existing = tables.visibleThread(draft.threadId, access);
  if (existing === null && (tables.threads.has(draft.threadId) || !draft.createThread)) return { kind: "no-thread" };

  const inflight = existing === null ? [] : inflightOf(existing);
  const decision = decideMultitask(draft.multitaskStrategy, inflight.length);
  if (decision.kind === "refuse") {
    return { kind: "busy", inflight: inflight.map((row) => ({ runId: row.runId, threadId: draft.threadId })) };
  }

  const threadMetadata = withRunIds(existing?.metadata ?? copyJson(draft.metadata), draft);
  const config = copyJson(draft.assistantConfig);
  const metadata = JSON.stringify(runMetadata(threadMetadata, draft));
  const kwargs = kwargsText(draft.kwargs);

  const thread =
    existing ??
    tables.addThread({
      threadId: draft.threadId,
      metadata: threadMetadata,
      config,
      temporary: false,
      ttl: draft.threadTtl,
    });
  if (existing !== null) updateThread(tables, existing, threadMetadata);
  thread.config = config;
  markTemporary(tables, thread, draft.kwargs, existing === null);
  if (draft.watched === true) thread.watched = true;

  const superseded =
    decision.cancelInflight === null
      ? []
      : inflight.map((row) => supersede(tables, row, decision.cancelInflight as CancelAction));

  const row = newRow(thread, draft, { metadata, kwargs, now: tables.clock.now() });
  const idle = thread.running === null && thread.pending.length === 0;
  tables.addRun(row);
  const leased = claim !== undefined && idle && draft.delayMs === 0;
  if (leased) tables.startRun(row, claim);
  tables.changeThread(thread, { status: "busy", updatedAt: row.createdAt });
  return {
    kind: "created",
    run: runOf(row, draft.kwargs),
    lease: leased ? { runId: row.runId, leaseToken: row.leaseToken } : null,
    superseded,
    watched: thread.watched,
  };
}

function inflightOf(thread: ThreadRow): RunRow[] {
  return thread.running === null ? [...thread.pending] : [thread.running, ...thread.pending];
}

function updateThread(tables: Tables, thread: ThreadRow, metadata: ThreadRow["metadata"]): void {
  const unchanged =
    thread.metadata["graph_id"] === metadata["graph_id"] &&
    thread.metadata["assistant_id"] === metadata["assistant_id"];
  if (!unchanged) tables.changeThread(thread, { metadata });
}

/** A thread goes with its stateless run, unless an ordinary run was put on it. */
function markTemporary(tables: Tables, thread: ThreadRow, kwargs: RunKwargs, isNew: boolean): void {
  if (kwargs.temporary && isNew) {
    thread.temporary = true;
    tables.temporaryThreads.add(thread);
  } else if (!kwargs.temporary && thread.temporary) {
    thread.temporary = false;
    tables.temporaryThreads.delete(thread);
  }
}

function supersede(tables: Tables, row: RunRow, action: CancelAction): SupersededRun {
  const ref = { runId: row.runId, threadId: row.thread.threadId, temporary: row.temporary };
  // A pending run that a worker has held before may have left checkpoints: the next worker undoes or keeps them.
  if (row.status === "running" || row.leaseToken > 0) {
    row.cancel = strongerCancel(row.cancel, action);
    tables.endPause(row.thread);
    return { ...ref, action: row.cancel, was: "running" };
  }
  if (action === "rollback") tables.removeRun(row);
  else {
    tables.endRun(row, "interrupted", null);
    tables.deliveries.ended(row, null);
  }
  return { ...ref, action, was: "pending" };
}

function newRow(
  thread: ThreadRow,
  draft: NewRun,
  made: { readonly metadata: string; readonly kwargs: string; readonly now: number },
): RunRow {
  return {
    runId: draft.runId,
    thread,
    assistantId: draft.assistantId,
    graphId: draft.graphId,
    createdAt: made.now,
    dueAt: made.now + draft.delayMs,
    metadata: made.metadata,
    kwargs: made.kwargs,
    multitaskStrategy: draft.multitaskStrategy,
    temporary: draft.kwargs.temporary,
    updatedAt: made.now,
    status: "pending",
    attempt: 0,
    error: null,
    leaseToken: 0,
    workerId: null,
    leaseUntil: 0,
    heartbeatAt: 0,
    retryAt: null,
    cancel: null,
  };
}
