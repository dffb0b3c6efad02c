import type { AccessFilter } from "../../core/auth.js";
import { termsOf } from "../../core/filter-terms.js";
import type { EpochMs, JsonText } from "../../core/json.js";
import { isVisible } from "../../core/metadata-filter.js";
import type { ThreadStatePatch, ThreadStatus, ThreadTtl } from "../../core/thread.js";
import { beingRemoved, type SettledStatus, ttlColumns } from "../run-rules.js";
import { parseObject, type StateColumns, type ThreadColumns } from "./rows.js";
import type { Session } from "./session.js";

const COLUMNS =
  "id, thread_id, created_at, updated_at, state_updated_at, status, settled_status, metadata, config, temporary, watched, " +
  "ttl_ms, ttl_strategy, pruned_at";

const NO_STATE: StateColumns = { state_values: null, interrupts: null, error: null };

export function findThread(session: Session, threadId: string): ThreadColumns | undefined {
  return session.sql<ThreadColumns>(`SELECT ${COLUMNS} FROM threads WHERE thread_id = ?`).get(threadId);
}

export function threadById(session: Session, id: number): ThreadColumns | undefined {
  return session.sql<ThreadColumns>(`SELECT ${COLUMNS} FROM threads WHERE id = ?`).get(id);
}

/** A thread that exists and that `access` shows. */
export function visibleThread(session: Session, threadId: string, access: AccessFilter): ThreadColumns | null {
  const row = findThread(session, threadId);
  return row !== undefined && showsMetadata(access, row.metadata) ? row : null;
}

/** Whether `access` shows a row with this metadata column; parses it only if it has to. */
export function showsMetadata(access: AccessFilter, metadata: string): boolean {
  return access.kind === "all" || isVisible(access, parseObject(metadata));
}

export function stateOf(session: Session, id: number): StateColumns {
  const sql = "SELECT state_values, interrupts, error FROM thread_states WHERE thread = ?";
  return session.sql<StateColumns>(sql).get(id) ?? NO_STATE;
}

export function insertThread(
  session: Session,
  draft: {
    readonly threadId: string;
    readonly metadata: string;
    readonly config: string;
    readonly temporary: boolean;
    readonly ttl?: ThreadTtl | undefined;
  },
): ThreadColumns {
  refuseRemoved(session, draft.threadId);
  const ttl = ttlColumns(draft.ttl ?? null);
  const now = session.clock.now();
  const temporary = draft.temporary ? 1 : 0;
  const { lastInsertRowid } = session
    .sql(
      `INSERT INTO threads (thread_id, created_at, updated_at, state_updated_at, status, settled_status, metadata, config, temporary,
         ttl_ms, ttl_strategy)
       VALUES (?, ?, ?, ?, 'idle', 'idle', ?, ?, ?, ?, ?)`,
    )
    .run(draft.threadId, now, now, now, draft.metadata, draft.config, temporary, ttl.ttl_ms, ttl.ttl_strategy);
  const id = Number(lastInsertRowid);
  for (const term of termsOf(parseObject(draft.metadata))) addTerm(session, id, now, term);
  return {
    id,
    thread_id: draft.threadId,
    created_at: now,
    updated_at: now,
    state_updated_at: now,
    status: "idle",
    settled_status: "idle",
    metadata: draft.metadata,
    config: draft.config,
    temporary,
    watched: 0,
    ...ttl,
    pruned_at: null,
  };
}

function refuseRemoved(session: Session, threadId: string): void {
  const removal = session.sql("SELECT 1 FROM thread_removals WHERE thread_id = ?").get(threadId);
  if (removal !== undefined) throw beingRemoved(threadId);
}

/** Insert a thread, or replace all of it but its runs. */
export function putThread(session: Session, columns: Omit<ThreadColumns, "id" | "status">): ThreadColumns {
  const existing = findThread(session, columns.thread_id);
  if (existing === undefined) refuseRemoved(session, columns.thread_id);
  else {
    for (const term of termsOf(parseObject(existing.metadata))) removeTerm(session, existing, term);
  }
  const names = Object.keys(columns);
  const row = session
    .sql<{ id: number }>(
      `INSERT INTO threads (status, ${names.join(", ")}) VALUES (@settled_status, ${names.map((name) => `@${name}`).join(", ")})
       ON CONFLICT (thread_id) DO UPDATE SET ${names.map((name) => `${name} = excluded.${name}`).join(", ")}
       RETURNING id`,
    )
    .get(columns);
  const id = row?.id ?? 0;
  for (const term of termsOf(parseObject(columns.metadata))) addTerm(session, id, columns.created_at, term);
  const put = { ...columns, id, status: existing?.status ?? columns.settled_status };
  return changeThread(session, put, { queueChanged: true, updatedAt: columns.updated_at });
}

/** Removes the thread with its terms; its state and runs go with it. */
export function deleteThread(session: Session, row: ThreadColumns): void {
  for (const term of termsOf(parseObject(row.metadata))) removeTerm(session, row, term);
  session.sql("DELETE FROM threads WHERE id = ?").run(row.id);
}

/** Columns that {@link changeThread} may set. */
export interface ThreadChange {
  readonly updatedAt?: EpochMs;
  readonly stateUpdatedAt?: EpochMs;
  readonly settledStatus?: SettledStatus;
  readonly metadata?: string;
  readonly config?: string;
  readonly temporary?: boolean;
  readonly watched?: true;
  readonly ttl?: ThreadTtl | null;
  /** When the status turns out to change, `updated_at` becomes now, also without `updatedAt`. */
  readonly queueChanged?: boolean;
}

/**
 * Change a thread's row in one statement that names only the columns that change: SQLite rewrites the index entries of
 * every column that it finds there. With `queueChanged` the status and the place in the queue follow from the runs.
 */
export function changeThread(session: Session, row: ThreadColumns, change: ThreadChange): ThreadColumns {
  const settled = change.settledStatus ?? row.settled_status;
  const queue = change.queueChanged === true ? queueOf(session, row.id) : null;
  const status: ThreadStatus = queue === null ? row.status : queue.busy ? "busy" : settled;
  const changed: ThreadColumns = {
    ...row,
    status,
    settled_status: settled,
    updated_at: change.updatedAt ?? (status === row.status ? row.updated_at : session.clock.now()),
    state_updated_at: change.stateUpdatedAt ?? row.state_updated_at,
    metadata: change.metadata ?? row.metadata,
    config: change.config ?? row.config,
    temporary: change.temporary === undefined ? row.temporary : change.temporary ? 1 : 0,
    watched: change.watched === true ? 1 : row.watched,
    ...(change.ttl === undefined ? {} : ttlColumns(change.ttl)),
  };
  const columns = CHANGEABLE.filter((column) => changed[column] !== row[column]);
  const values: (string | number | null)[] = columns.map((column) => changed[column]);
  const assignments = columns.map((column) => `${column} = ?`);
  if (queue !== null) {
    assignments.push("head_due_at = ?", "head_run_id = ?", "head_retry_at = ?");
    values.push(queue.head?.due_at ?? null, queue.head?.run_id ?? null, queue.head?.retry_at ?? null);
  }
  if (assignments.length > 0) {
    session.sql(`UPDATE threads SET ${assignments.join(", ")} WHERE id = ?`).run(...values, row.id);
  }
  if (changed.metadata !== row.metadata) replaceTerms(session, row, changed.metadata);
  return changed;
}

const CHANGEABLE = [
  "status",
  "settled_status",
  "updated_at",
  "state_updated_at",
  "metadata",
  "config",
  "temporary",
  "watched",
  "ttl_ms",
  "ttl_strategy",
] as const;

/** Write the state columns and the status that they leave; a thread with runs in flight stays `busy`. */
export function settleThread(
  session: Session,
  row: ThreadColumns,
  settled: {
    readonly status: SettledStatus;
    readonly patch: ThreadStatePatch;
    readonly runError?: JsonText | undefined;
    readonly metadata?: string;
  },
): ThreadColumns {
  const { status, patch } = settled;
  const now = session.clock.now();
  const error = status === "error" ? (patch.error ?? settled.runError ?? null) : null;
  if (patch.values !== undefined || patch.interrupts !== undefined || status === "error") {
    session
      .sql(
        `INSERT INTO thread_states (thread, state_values, interrupts, error) VALUES (?, ?, ?, ?)
         ON CONFLICT (thread) DO UPDATE SET
           state_values = coalesce(excluded.state_values, state_values),
           interrupts = coalesce(excluded.interrupts, interrupts),
           error = coalesce(excluded.error, error)`,
      )
      .run(row.id, patch.values ?? null, patch.interrupts ?? null, error);
  }
  if (status !== "error" && row.settled_status === "error") {
    session.sql("UPDATE thread_states SET error = NULL WHERE thread = ?").run(row.id);
  }
  return changeThread(session, row, {
    settledStatus: status,
    updatedAt: now,
    queueChanged: true,
    ...(patch.values === undefined ? {} : { stateUpdatedAt: now }),
    ...(settled.metadata === undefined ? {} : { metadata: settled.metadata }),
  });
}

interface QueueHead {
  readonly due_at: number;
  readonly run_id: string;
  /** No run of the thread starts before. */
  readonly retry_at: number | null;
}

const QUEUE_HEAD = `SELECT due_at, run_id,
    (SELECT max(retry_at) FROM runs WHERE thread = ? AND status = 'pending' AND retry_at IS NOT NULL) AS retry_at
  FROM runs WHERE thread = ? AND status = 'pending' ORDER BY due_at, run_id LIMIT 1`;

/** Whether runs are in flight, and the pending one that may start next, if none is running. */
function queueOf(session: Session, id: number): { readonly busy: boolean; readonly head: QueueHead | undefined } {
  if (session.sql("SELECT 1 FROM runs WHERE thread = ? AND status = 'running'").get(id) !== undefined) {
    return { busy: true, head: undefined };
  }
  const head = session.sql<QueueHead>(QUEUE_HEAD).get(id, id);
  return { busy: head !== undefined, head };
}

function replaceTerms(session: Session, row: ThreadColumns, metadata: string): void {
  const before = termsOf(parseObject(row.metadata));
  const after = termsOf(parseObject(metadata));
  for (const term of before) if (!after.includes(term)) removeTerm(session, row, term);
  for (const term of after) if (!before.includes(term)) addTerm(session, row.id, row.created_at, term);
}

function addTerm(session: Session, id: number, createdAt: number, term: string): void {
  session.sql("INSERT INTO thread_terms (term, created_at, thread) VALUES (?, ?, ?)").run(term, createdAt, id);
}

function removeTerm(session: Session, row: ThreadColumns, term: string): void {
  const sql = "DELETE FROM thread_terms WHERE term = ? AND created_at = ? AND thread = ?";
  session.sql(sql).run(term, row.created_at, row.id);
}
