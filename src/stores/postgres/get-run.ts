import type { RunStore } from "../../core/metadata-store.js";
import type { Run } from "../../core/run.js";
import type { Statement } from "../../databases/postgres/open.js";
import { toText } from "../../databases/postgres/storable.js";
import { ruleParameter } from "./filters.js";
import { type RunColumns, runColumns, runOf } from "./rows.js";
import type { Session } from "./session.js";

const GET: Statement = {
  name: "heddle_get_run",
  idempotent: true,
  text: `SELECT ${runColumns("r.")} FROM heddle_runs r WHERE r.run_id = $1 AND ($2::text IS NULL OR r.thread_id = $2)
    AND ($3::jsonb IS NULL OR heddle_visible((SELECT m.metadata FROM heddle_thread_metadata m WHERE m.thread_id = r.thread_id), $3))`,
};

/** `runs.get` of the Postgres store. */
export async function getRun(
  session: Session,
  { runId, threadId, access }: Parameters<RunStore["get"]>[0],
): Promise<Run | null> {
  const values = [toText(runId), threadId === undefined ? null : toText(threadId), ruleParameter(access)];
  const [row] = await session.query<RunColumns>(GET, values);
  return row === undefined ? null : runOf(row);
}
