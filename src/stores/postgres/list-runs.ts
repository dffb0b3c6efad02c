import type { RunQuery } from "../../core/metadata-store.js";
import type { Run } from "../../core/run.js";
import { toText } from "../../databases/postgres/storable.js";
import { filterSql } from "./filters.js";
import { type RunColumns, runColumns, runOf } from "./rows.js";
import type { Session } from "./session.js";

/** `runs.list` of the Postgres store, newest first. */
export async function listRuns(
  session: Session,
  query: RunQuery & { readonly limit: number; readonly offset: number },
): Promise<readonly Run[]> {
  const { threadId, status, runIds, access, limit, offset } = query;
  const parameters: unknown[] = [];
  const parameter = (value: unknown): string => `$${parameters.push(value)}`;
  const conditions: string[] = [];
  if (threadId !== undefined) conditions.push(`r.thread_id = ${parameter(toText(threadId))}`);
  if (runIds !== undefined) conditions.push(`r.run_id = ANY (${parameter(runIds.map(toText))}::text[])`);
  if (status !== undefined) {
    conditions.push(`r.status = ANY (${parameter(status)}::text[])`);
    // For the partial indices.
    if (status.every((one) => one === "running")) conditions.push("r.status || '' = 'running'");
    else if (status.every((one) => one === "pending" || one === "running"))
      conditions.push("(r.status || '' = 'running' OR r.status || '' = 'pending')");
  }
  const visible = filterSql("m.metadata", { access }, parameters);
  if (visible !== null) {
    conditions.push(`EXISTS (SELECT 1 FROM heddle_thread_metadata m WHERE m.thread_id = r.thread_id AND ${visible})`);
  }
  const where = conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`;
  const rows = await session.query<RunColumns>(
    {
      name: "",
      idempotent: true,
      text: `SELECT ${runColumns("r.")} FROM heddle_runs r ${where} ORDER BY r.created_at DESC, r.run_id DESC
        LIMIT ${parameter(limit)} OFFSET ${parameter(offset)}`,
    },
    parameters,
  );
  return rows.map(runOf);
}
