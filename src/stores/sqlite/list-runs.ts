import type { RunQuery } from "../../core/metadata-store.js";
import type { RunColumns } from "./rows.js";
import { RUN_COLUMNS } from "./run-rows.js";
import type { Session } from "./session.js";
import { showsMetadata, visibleThread } from "./thread-rows.js";

const FROM = `SELECT ${RUN_COLUMNS} FROM runs r JOIN threads t ON t.id = r.thread`;
const NEWEST_FIRST = "ORDER BY r.created_at DESC, r.run_id DESC";

/** Rows of `runs.list`, newest first. Within a thread SQL pages; across threads the access filter does. */
export function listRuns(
  session: Session,
  query: RunQuery & { readonly limit: number; readonly offset: number },
): readonly RunColumns[] {
  const { threadId, status, runIds, access, limit, offset } = query;
  const conditions: string[] = [];
  const parameters: (string | number)[] = [];
  if (threadId !== undefined) {
    const thread = visibleThread(session, threadId, access);
    if (thread === null) return [];
    conditions.push("r.thread = ?");
    parameters.push(thread.id);
  }
  if (runIds !== undefined) {
    conditions.push("r.run_id IN (SELECT value FROM json_each(?))");
    parameters.push(JSON.stringify(runIds));
  }
  if (threadId !== undefined) {
    if (status !== undefined) {
      conditions.push("r.status IN (SELECT value FROM json_each(?))");
      parameters.push(JSON.stringify(status));
    }
    const sql = `${FROM} WHERE ${conditions.join(" AND ")} ${NEWEST_FIRST} LIMIT ? OFFSET ?`;
    return session.sql<RunColumns>(sql).all(...parameters, limit, offset);
  }
  return perStatus(session, conditions, parameters, status)
    .filter((row) => showsMetadata(access, row.thread_metadata))
    .slice(offset, offset + limit);
}

/** One statement per wanted status, named in the text: only then SQLite uses the partial indices. */
function perStatus(
  session: Session,
  conditions: readonly string[],
  parameters: readonly (string | number)[],
  status: RunQuery["status"],
): readonly RunColumns[] {
  if (status === undefined) {
    const where = conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`;
    return session.sql<RunColumns>(`${FROM} ${where} ${NEWEST_FIRST}`).all(...parameters);
  }
  const rows = [...new Set(status)].flatMap((one) => {
    const known = ["pending", "running"].includes(one);
    const where = [...conditions, known ? `r.status = '${one}'` : "r.status = ?"].join(" AND ");
    return session.sql<RunColumns>(`${FROM} WHERE ${where}`).all(...parameters, ...(known ? [] : [one]));
  });
  return rows.sort((a, b) => {
    if (a.created_at !== b.created_at) return b.created_at - a.created_at;
    return a.run_id === b.run_id ? 0 : a.run_id < b.run_id ? 1 : -1;
  });
}
