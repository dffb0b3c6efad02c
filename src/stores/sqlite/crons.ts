import type { AccessFilter } from "../../core/auth.js";
import type { Cron, CronQuery, CronSortField, CronStore } from "../../core/cron.js";
import type { EpochMs } from "../../core/json.js";
import { isVisible, jsonContains } from "../../core/metadata-filter.js";
import type { CreateRunOutcome } from "../../core/metadata-store.js";
import {
  changedCron,
  CRON_COLUMN_NAMES,
  CRON_SORT_COLUMNS,
  cronColumns,
  type CronColumns,
  cronOf,
} from "../cron-columns.js";
import { kwargsText } from "../../core/kwargs-text.js";
import { cronWithout } from "../transfer-rows.js";
import { createRunNow } from "./create-run.js";
import { parseObject } from "./rows.js";
import { findRun, fullRun } from "./run-rows.js";
import { scan, type Entry } from "./scan.js";
import { guarded, type Session } from "./session.js";
import { showsMetadata, threadById } from "./thread-rows.js";

export type CronRow = CronColumns & {
  readonly id: number;
  readonly lease_token: number;
  readonly lease_until: EpochMs | null;
};

interface Candidate extends Entry {
  readonly metadata: string;
}

/** Sorted by what has a value for every row: a walk along an index compares. */
const SORT_KEYS: Partial<Record<CronSortField, string>> = {
  thread_id: "thread_key",
  next_run_date: "next_run_key",
  end_time: "end_key",
};

const NAMES = CRON_COLUMN_NAMES.join(", ");
const VALUES = CRON_COLUMN_NAMES.map((name) => `@${name}`).join(", ");
const SETS = CRON_COLUMN_NAMES.map((name) => `${name} = @${name}`).join(", ");

/** Crons in SQLite: a tick's run and the cron's move are one transaction. */
export function createSqliteCrons(session: Session): CronStore {
  const { clock } = session;

  const find = (cronId: string): CronRow | undefined =>
    session.sql<CronRow>("SELECT * FROM crons WHERE cron_id = ?").get(cronId);

  const visible = (cronId: string, access: AccessFilter): CronRow | null => {
    const row = find(cronId);
    return row !== undefined && showsMetadata(access, row.metadata) ? row : null;
  };

  const walk = async (
    query: CronQuery,
    order: { readonly column: string; readonly order: "asc" | "desc" },
    visit: (row: Candidate) => void,
  ): Promise<void> => {
    const { metadata, access } = query;
    const conditions: (readonly [sql: string, value: string | number])[] = [];
    if (query.assistantId !== undefined) conditions.push(["t.assistant_id = ?", query.assistantId]);
    if (query.threadId !== undefined) conditions.push(["t.thread_id IS ?", query.threadId]);
    if (query.enabled !== undefined) conditions.push(["t.enabled = ?", query.enabled ? 1 : 0]);
    await scan<Candidate>(
      session,
      {
        ...order,
        table: "crons",
        condition: conditions.map(([sql]) => sql).join(" AND ") || "1",
        parameters: conditions.map(([, value]) => value),
        columns: ["metadata"],
      },
      (row) => {
        const stored = metadata === undefined && access.kind === "all" ? {} : parseObject(row.metadata);
        if (jsonContains(stored, metadata) && isVisible(access, stored)) visit(row);
        return true;
      },
    );
  };

  return {
    create: ({ draft }) =>
      session.write(() => {
        const { assistantId, threadId } = draft;
        const there = session.sql<{ there: 0 | 1 }>(
          `SELECT EXISTS (SELECT 1 FROM assistants WHERE assistant_id = @assistantId)
             AND (@threadId IS NULL OR EXISTS (SELECT 1 FROM threads WHERE thread_id = @threadId)) AS there`,
        );
        if (there.get({ assistantId, threadId })?.there !== 1) return { kind: "gone" };
        const now = clock.now();
        const columns = cronColumns(draft);
        session
          .sql(`INSERT INTO crons (${NAMES}, created_at, updated_at) VALUES (${VALUES}, @now, @now)`)
          .run({ ...columns, enabled: columns.enabled ? 1 : 0, now });
        return { kind: "created", cron: cronOf(required(find(draft.cronId))) };
      }),

    get: ({ cronId, access }) =>
      session.read(() => {
        const row = visible(cronId, access);
        return row && cronOf(row);
      }),

    update: ({ cronId, revision, change, access }) =>
      session.write(() => {
        const row = visible(cronId, access);
        if (row === null) return { kind: "not-found" };
        if (row.revision !== revision) return { kind: "changed" };
        const columns = cronColumns(changedCron(cronOf(row), change));
        const taken = change.nextRunAt === undefined ? "" : ", lease_until = NULL";
        session
          .sql(`UPDATE crons SET ${SETS}, revision = revision + 1, updated_at = @now${taken} WHERE id = @id`)
          .run({ ...columns, enabled: columns.enabled ? 1 : 0, now: clock.now(), id: row.id });
        return { kind: "updated", cron: cronOf(required(find(cronId))) };
      }),

    delete: ({ cronId, access }) =>
      session.write(() => {
        const row = visible(cronId, access);
        if (row === null) return null;
        session.sql("DELETE FROM crons WHERE id = ?").run(row.id);
        return cronOf(row);
      }),

    async search({ limit, offset, sortBy, sortOrder, ...query }) {
      const ids: number[] = [];
      let total = 0;
      await walk(query, { column: SORT_KEYS[sortBy] ?? CRON_SORT_COLUMNS[sortBy], order: sortOrder }, (row) => {
        if (total >= offset && ids.length < limit) ids.push(row.id);
        total += 1;
      });
      const byId = "SELECT * FROM crons WHERE id = ?";
      const rows = guarded(() => ids.map((id) => session.sql<CronRow>(byId).get(id)));
      return { rows: rows.filter((row) => row !== undefined).map(cronOf), total };
    },

    async count(query) {
      let total = 0;
      await walk(query, { column: "created_at", order: "asc" }, () => {
        total += 1;
      });
      return total;
    },

    ...createQueue(session),
  };
}

/** The crons that are due, and what moves them on. */
function createQueue(session: Session): Pick<CronStore, "claimDue" | "nextDueAt" | "fire" | "skip"> {
  const { clock } = session;

  /** @returns false when the claim is no longer held */
  const moveOn = (cronId: string, leaseToken: number, next: EpochMs | null): boolean =>
    session
      .sql(
        `UPDATE crons SET next_run_at = ?, lease_until = NULL
           WHERE cron_id = ? AND lease_token = ? AND lease_until IS NOT NULL`,
      )
      .run(next, cronId, leaseToken).changes > 0;

  return {
    async claimDue({ leaseMs, limit }) {
      // Most looks find nothing, and a look must not take the write lock.
      const { at, now: seen } = await session.read(() => firstDue(session));
      if (at === null || at > seen) return [];
      return session.write(() => {
        const now = clock.now();
        const due = session
          .sql<CronRow>(
            `SELECT * FROM crons WHERE next_run_at <= ? AND coalesce(lease_until, 0) <= ?
               ORDER BY next_run_at, cron_id LIMIT ?`,
          )
          .all(now, now, limit);
        return due.flatMap((row) => {
          const leaseToken = row.lease_token + 1;
          session
            .sql("UPDATE crons SET lease_token = ?, lease_until = ? WHERE id = ?")
            .run(leaseToken, now + leaseMs, row.id);
          const { next_run_at: nextRunAt } = row;
          return nextRunAt === null ? [] : [{ cron: { ...cronOf(row), nextRunAt }, leaseToken, now }];
        });
      });
    },

    nextDueAt: () => session.read(() => firstDue(session)),

    fire({ cronId, leaseToken, next, draft, access }) {
      const kwargs = kwargsText(draft.kwargs);
      return session.write(() => {
        if (!moveOn(cronId, leaseToken, next)) return { kind: "lost" };
        const outcome = existing(session, draft.runId) ?? createRunNow(session, { draft, access, kwargs });
        return { kind: "fired", outcome };
      });
    },

    skip: ({ cronId, leaseToken, next }) => session.write(() => moveOn(cronId, leaseToken, next)),
  };
}

/** A cron of a copy, in place of one of the same id: within the caller's transaction. */
export function putCron(session: Session, cron: Cron): void {
  const { cronId, assistantId, threadId, revision, createdAt, updatedAt } = cron;
  const isThere = (sql: string, id: string): boolean => session.sql(sql).get(id) !== undefined;
  if (!isThere("SELECT 1 FROM assistants WHERE assistant_id = ?", assistantId)) throw cronWithout(cron, "assistant");
  if (threadId !== null && !isThere("SELECT 1 FROM threads WHERE thread_id = ?", threadId)) {
    throw cronWithout(cron, "thread");
  }
  session.sql("DELETE FROM crons WHERE cron_id = ?").run(cronId);
  const columns = cronColumns(cron);
  session
    .sql(
      `INSERT INTO crons (${NAMES}, revision, created_at, updated_at) VALUES (${VALUES}, @revision, @createdAt, @updatedAt)`,
    )
    .run({ ...columns, enabled: columns.enabled ? 1 : 0, revision, createdAt, updatedAt });
}

function firstDue(session: Session): { readonly now: EpochMs; readonly at: EpochMs | null } {
  const row = session
    .sql<{ at: number | null }>(
      `SELECT min(at) AS at FROM (
         SELECT min(next_run_at) AS at FROM crons WHERE next_run_at IS NOT NULL AND lease_until IS NULL
         UNION ALL SELECT min(max(next_run_at, lease_until)) FROM crons
           WHERE next_run_at IS NOT NULL AND lease_until IS NOT NULL)`,
    )
    .get();
  return { now: session.clock.now(), at: row?.at ?? null };
}

function existing(session: Session, runId: string): CreateRunOutcome | null {
  const row = findRun(session, runId);
  if (row === undefined) return null;
  const watched = threadById(session, row.thread)?.watched === 1;
  return { kind: "created", run: fullRun(session, row), lease: null, superseded: [], watched };
}

function required(row: CronRow | undefined): CronRow {
  if (row === undefined) throw new TypeError("a cron that was just written is not there");
  return row;
}
