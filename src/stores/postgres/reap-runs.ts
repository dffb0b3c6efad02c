import { randomUUID } from "node:crypto";
import { toJsonText } from "../../core/json.js";
import type { RunStore } from "../../core/metadata-store.js";
import { afterExpiredLease } from "../../core/run-lifecycle.js";
import type { RunRef } from "../../core/run.js";
import type { Statement } from "../../databases/postgres/open.js";
import { fromText, toJsonb } from "../../databases/postgres/storable.js";
import { maxAttemptsError } from "../run-rules.js";
import type { Session } from "./session.js";

const idempotent = true;

const RUNNING: Statement = {
  name: "heddle_running_runs",
  idempotent,
  text: `SELECT run_id, lease_token, attempt, worker_id, lease_until <= (SELECT heddle_now($1)) AS expired
    FROM heddle_runs WHERE status || '' = 'running' AND ($2 OR lease_until <= (SELECT heddle_now($1)))`,
};
const REAP: Statement = {
  name: "heddle_reap_runs",
  idempotent,
  // As in end-run.ts: the run that this statement first saw was started then.
  text: `SELECT f.run_id, f.thread_id, f.failed, CASE WHEN f.failed THEN
      heddle_deliver(f.run_id, (SELECT r.updated_at FROM heddle_runs r WHERE r.run_id = f.run_id)) END
    FROM heddle_reap_runs($1, $2, $3, $4) f`,
};

type RunningColumns = {
  readonly run_id: string;
  readonly lease_token: number;
  readonly attempt: number;
  readonly worker_id: string | null;
  readonly expired: boolean;
};

/** `runs.reapExpired` of the Postgres store: a look, and a function call for what it finds. */
export async function reapRuns(
  session: Session,
  { maxAttempts, isAlive, retryDelayMs }: Parameters<RunStore["reapExpired"]>[0],
): ReturnType<RunStore["reapExpired"]> {
  const rows = await session.query<RunningColumns>(RUNNING, [session.now(), isAlive !== undefined]);
  const candidates = rows.flatMap(({ run_id, lease_token, attempt, worker_id, expired }) => {
    const dead = !expired && !(isAlive?.(fromText(worker_id ?? "")) ?? true);
    if (!expired && !dead) return [];
    const failed = afterExpiredLease({ attempt, maxAttempts }) === "error";
    return [
      {
        runId: run_id,
        leaseToken: lease_token,
        dead,
        error: failed ? toJsonText(maxAttemptsError(attempt, worker_id === null ? null : fromText(worker_id))) : null,
        retryMs: failed ? 0 : Math.ceil(retryDelayMs?.(attempt) ?? 0),
      },
    ];
  });
  // Nothing to do is the rule.
  if (candidates.length === 0) return { requeued: [], failed: [] };
  const request = randomUUID();
  const taken = await session.query<{ run_id: string; thread_id: string; failed: boolean }>(REAP, (again) => [
    session.now(),
    request,
    again,
    toJsonb(candidates),
  ]);
  const refs = (failed: boolean): readonly RunRef[] =>
    taken
      .filter((row) => row.failed === failed)
      .map((row) => ({ runId: fromText(row.run_id), threadId: fromText(row.thread_id) }));
  return { requeued: refs(false), failed: refs(true) };
}
