import type { RunStore } from "../../core/metadata-store.js";
import type { Run } from "../../core/run.js";
import type { Statement } from "../../databases/postgres/open.js";
import { toText } from "../../databases/postgres/storable.js";
import { ruleParameter } from "./filters.js";
import { type RunColumns, runColumns, runOf } from "./rows.js";
import type { Session } from "./session.js";

// One for everybody's rows: with the filter in it Postgres plans the statement anew each time.
const GET: Statement = {
  name: "heddle_get_run",
  idempotent: true,
  text: `SELECT ${runColumns("r.")} FROM heddle_runs r WHERE r.run_id = $1`,
};
const GET_VISIBLE: Statement = {
  name: "heddle_get_visible_run",
  idempotent: true,
  text: `${GET.text} AND EXISTS (
    SELECT 1 FROM heddle_thread_metadata m WHERE m.thread_id = r.thread_id AND heddle_visible(m.metadata, $2))`,
};

/** `runs.get` of the Postgres store. */
export async function getRun(
  session: Session,
  { runId, threadId, access }: Parameters<RunStore["get"]>[0],
): Promise<Run | null> {
  const rule = ruleParameter(access);
  const [statement, values] = rule === null ? [GET, [toText(runId)]] : [GET_VISIBLE, [toText(runId), rule]];
  const [row] = await session.query<RunColumns>(statement, values);
  return row === undefined || (threadId !== undefined && row.thread_id !== toText(threadId)) ? null : runOf(row);
}
