import { randomUUID } from "node:crypto";
import type { RunStore } from "../../core/metadata-store.js";
import type { Statement } from "../../databases/postgres/open.js";
import { toJsonb, toText } from "../../databases/postgres/storable.js";
import { ruleParameter } from "./filters.js";
import { getRun } from "./get-run.js";
import { type RunColumns, runColumns, runOf } from "./rows.js";
import type { Session } from "./session.js";

const idempotent = true;

const FINISH: Statement = {
  name: "heddle_finish_run",
  idempotent,
  // The run as this statement first saw it is still the claimed one: its time is that of the claim.
  text: `SELECT f.kind, f.next_pending, CASE WHEN f.kind = 'accepted' THEN
      heddle_deliver($4, (SELECT r.updated_at FROM heddle_runs r WHERE r.run_id = $4)) END
    FROM heddle_finish_run($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) f`,
};
const RELEASE: Statement = {
  name: "heddle_release_run",
  idempotent,
  text: "SELECT heddle_release_run($1, $2, $3, $4) AS accepted",
};
const CANCEL: Statement = {
  name: "heddle_cancel_run",
  idempotent,
  text: `SELECT kind, ${runColumns("(run).")}, CASE WHEN kind = 'cancelled' THEN heddle_deliver($4, NULL) END
    FROM heddle_cancel_run($1, $2, $3, $4, $5, $6, $7)`,
};

/** `runs.finish` of the Postgres store: one round trip, fenced, safe to repeat. */
export async function finishRun(
  session: Session,
  { lease, outcome, threadPatch, hasNext, threadMetadata }: Parameters<RunStore["finish"]>[0],
): ReturnType<RunStore["finish"]> {
  const request = randomUUID();
  const ended = outcome.kind === "ended";
  const rest = [
    toText(lease.runId),
    lease.leaseToken,
    ended ? outcome.status : outcome.kind,
    (ended ? outcome.error : null) ?? null,
    hasNext,
    threadPatch.values ?? null,
    threadPatch.interrupts ?? null,
    threadPatch.error ?? null,
    threadMetadata === undefined ? null : toJsonb(threadMetadata),
  ];
  const [row] = await session.query<{ kind: "accepted" | "refused" | "rollback"; next_pending: boolean | null }>(
    FINISH,
    (again) => [session.now(), request, again, ...rest],
  );
  if (row?.kind === "accepted") return { accepted: true, nextPending: row.next_pending === true };
  return row?.kind === "rollback" ? { accepted: false, cancelRequested: "rollback" } : { accepted: false };
}

/** `runs.release` of the Postgres store. */
export async function releaseRun(
  session: Session,
  { lease }: Parameters<RunStore["release"]>[0],
): ReturnType<RunStore["release"]> {
  const values = [session.now(), randomUUID(), toText(lease.runId), lease.leaseToken];
  const [row] = await session.query<{ accepted: boolean }>(RELEASE, values);
  return { accepted: row?.accepted === true };
}

/** `runs.requestCancel` of the Postgres store. */
export async function cancelRun(
  session: Session,
  { runId, threadId, action, access }: Parameters<RunStore["requestCancel"]>[0],
): ReturnType<RunStore["requestCancel"]> {
  const request = randomUUID();
  const rest = [toText(runId), threadId === undefined ? null : toText(threadId), action, ruleParameter(access)];
  // A pending run is deleted by a rollback: whoever has to repeat it could not say what it has cancelled.
  const before =
    action === "rollback"
      ? await getRun(session, { runId, access, ...(threadId !== undefined && { threadId }) })
      : null;
  if (action === "rollback" && before === null) return { kind: "not-found" };
  const [row] = await session.query<
    RunColumns & { kind: "not-found" | "gone" | "cancelled" | "requested" | "finished" }
  >(CANCEL, (again) => [session.now(), request, again, ...rest]);
  if (row === undefined || row.kind === "not-found") return { kind: "not-found" };
  if (row.kind === "gone") return before === null ? { kind: "not-found" } : { kind: "cancelled", run: before };
  return { kind: row.kind, run: runOf(row) };
}
