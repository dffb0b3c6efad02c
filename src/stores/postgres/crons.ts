import { randomUUID } from "node:crypto";
import type { Cron, CronQuery, CronSortField, CronStore } from "../../core/cron.js";
import type { EpochMs } from "../../core/json.js";
import type { CreateRunOutcome } from "../../core/metadata-store.js";
import { isSqlState } from "../../databases/postgres/failures.js";
import type { Statement } from "../../databases/postgres/open.js";
import { fromJsonb, fromText, toJsonb, toText } from "../../databases/postgres/storable.js";
import { CRON_COLUMN_NAMES, CRON_SORT_COLUMNS, cronColumns, type CronColumns, cronOf } from "../cron-columns.js";
import { cronWithout } from "../transfer-rows.js";
import { type CreatedRun, createdOutcome, draftValues, expiryValues } from "./create-run.js";
import { filterSql, ruleParameter } from "./filters.js";
import type { Session } from "./session.js";

/** Columns as they are read: `metadata` as text. */
export const CRON_COLUMNS = [...CRON_COLUMN_NAMES, "revision", "created_at", "updated_at"]
  .map((name) => (name === "metadata" ? "metadata::text AS metadata" : name))
  .join(", ");
const NAMES = CRON_COLUMN_NAMES.join(", ");
/** $2 and on; $1 is the clock. */
const VALUES = CRON_COLUMN_NAMES.map((name, i) => `$${i + 2}${name === "metadata" ? "::jsonb" : ""}`).join(", ");
const AFTER = CRON_COLUMN_NAMES.length + 2;
/** The tick that comes next is also changed by whoever fires: what an update does not change must stay. */
const SETS = CRON_COLUMN_NAMES.map((name, i) => {
  if (name === "next_run_at") return `next_run_at = CASE WHEN $${AFTER + 2} THEN $${i + 2} ELSE next_run_at END`;
  return `${name} = $${i + 2}${name === "metadata" ? "::jsonb" : ""}`;
}).join(", ");

const idempotent = true;
const CREATE: Statement = {
  name: "heddle_create_cron",
  idempotent,
  text: `WITH made AS (
      INSERT INTO heddle_crons (${NAMES}, created_at, updated_at)
      SELECT ${VALUES}, now, now FROM (SELECT heddle_now($1) AS now OFFSET 0) AS clock
      ON CONFLICT (cron_id) DO NOTHING RETURNING *
    ) SELECT ${CRON_COLUMNS} FROM made
    UNION ALL SELECT ${CRON_COLUMNS} FROM heddle_crons WHERE cron_id = $2`,
};
const GET: Statement = {
  name: "heddle_get_cron",
  idempotent,
  text: `SELECT ${CRON_COLUMNS} FROM heddle_crons WHERE cron_id = $1 AND heddle_visible(metadata, $2)`,
};
// Repeated after a lost answer it finds the revision that it has made itself.
const UPDATE: Statement = {
  name: "heddle_update_cron",
  idempotent,
  text: `UPDATE heddle_crons SET ${SETS}, revision = $${AFTER} + 1, updated_at = heddle_now($1), request = $${AFTER + 1},
      lease_until = CASE WHEN $${AFTER + 2} THEN NULL ELSE lease_until END
    WHERE cron_id = $2 AND (revision = $${AFTER} OR request = $${AFTER + 1}) RETURNING ${CRON_COLUMNS}`,
};
// Again, its answer is that there is none: who deletes wants nothing else.
const DELETE: Statement = {
  name: "heddle_delete_cron",
  idempotent: false,
  text: `DELETE FROM heddle_crons WHERE cron_id = $1 AND heddle_visible(metadata, $2) RETURNING ${CRON_COLUMNS}`,
};
// Repeated it may claim others: what the first one has claimed runs out.
const CLAIM: Statement = {
  name: "heddle_claim_crons",
  idempotent,
  text: `WITH clock AS MATERIALIZED (SELECT heddle_now($1) AS now), due AS MATERIALIZED (
      SELECT c.cron_id AS id FROM heddle_crons c, clock
      WHERE c.next_run_at <= clock.now AND (c.lease_until IS NULL OR c.lease_until <= clock.now)
      ORDER BY c.next_run_at, c.cron_id LIMIT $3 FOR UPDATE OF c SKIP LOCKED
    ) UPDATE heddle_crons c SET lease_token = c.lease_token + 1, lease_until = clock.now + $2::bigint FROM due, clock
    WHERE c.cron_id = due.id RETURNING ${CRON_COLUMNS}, lease_token, clock.now`,
};
const NEXT: Statement = {
  name: "heddle_next_cron",
  idempotent,
  text: `SELECT heddle_now($1) AS now, least(
      (SELECT min(next_run_at) FROM heddle_crons WHERE lease_until IS NULL),
      (SELECT min(greatest(next_run_at, lease_until)) FROM heddle_crons WHERE lease_until IS NOT NULL AND next_run_at IS NOT NULL)
    ) AS at`,
};
const FIRE: Statement = {
  name: "heddle_fire_cron",
  idempotent,
  text: `SELECT c.*, CASE WHEN c.kind = 'created' AND $21::bigint IS NOT NULL THEN heddle_expire_new_thread($9, c.created_at, $21, $22) END,
      CASE WHEN c.superseded IS NOT NULL THEN heddle_deliver_superseded(c.superseded::json) END
    FROM heddle_fire_cron($4, $5, $6, $7, $1, $2, $3, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20) c`,
};
const SKIP: Statement = {
  name: "heddle_skip_cron",
  idempotent,
  text: `UPDATE heddle_crons SET next_run_at = $3, lease_until = NULL, request = $4
    WHERE cron_id = $1 AND lease_token = $2 AND (lease_until IS NOT NULL OR request = $4) RETURNING cron_id`,
};

const PUT: Statement = {
  name: "heddle_import_cron",
  idempotent,
  text: `INSERT INTO heddle_crons (${NAMES}, revision, created_at, updated_at)
    VALUES (${CRON_COLUMN_NAMES.map((name, i) => `$${i + 1}${name === "metadata" ? "::jsonb" : ""}`).join(", ")}, $${AFTER - 1}, $${AFTER}, $${AFTER + 1})
    ON CONFLICT (cron_id) DO UPDATE SET lease_until = NULL, lease_token = heddle_crons.lease_token + 1,
      ${[...CRON_COLUMN_NAMES.slice(1), "revision", "created_at", "updated_at"].map((name) => `${name} = excluded.${name}`).join(", ")}`,
};

type Fired = CreatedRun & { readonly fired: boolean };
type Claimed = CronColumns & { readonly lease_token: number; readonly now: EpochMs };

/** Crons in Postgres: a tick's run and the cron's move are one transaction, in one round trip. */
export function createPostgresCrons(session: Session): CronStore {
  return {
    async create({ draft }) {
      try {
        const [row] = await session.query<CronColumns>(CREATE, [session.now(), ...columnValues(draft)]);
        return row === undefined ? { kind: "gone" } : { kind: "created", cron: readCron(row) };
      } catch (error) {
        // foreign_key_violation
        if (isSqlState(error, "23503")) return { kind: "gone" };
        throw error;
      }
    },

    async get({ cronId, access }) {
      const [row] = await session.query<CronColumns>(GET, [toText(cronId), ruleParameter(access)]);
      return row === undefined ? null : readCron(row);
    },

    async update({ cronId, revision, change, access }) {
      const read = [toText(cronId), ruleParameter(access)];
      const [before] = await session.query<CronColumns>(GET, read);
      if (before === undefined) return { kind: "not-found" };
      if (before.revision !== revision) return { kind: "changed" };
      const values = columnValues({ ...readCron(before), ...change });
      const [row] = await session.query<CronColumns>(UPDATE, [
        session.now(),
        ...values,
        revision,
        randomUUID(),
        change.nextRunAt !== undefined,
      ]);
      return row === undefined ? { kind: "changed" } : { kind: "updated", cron: readCron(row) };
    },

    async delete({ cronId, access }) {
      const [row] = await session.query<CronColumns>(DELETE, [toText(cronId), ruleParameter(access)]);
      return row === undefined ? null : readCron(row);
    },

    async search({ limit, offset, sortBy, sortOrder, ...query }) {
      const parameters: unknown[] = [];
      const where = conditionOf(query, parameters);
      const direction = sortOrder === "asc" ? "ASC" : "DESC";
      const [counted, rows] = await Promise.all([
        session.query<{ total: number }>(countStatement(where), parameters),
        session.query<CronColumns>(pageStatement(where, { sortBy, direction, after: parameters.length }), [
          ...parameters,
          limit,
          offset,
        ]),
      ]);
      return { rows: rows.map(readCron), total: counted[0]?.total ?? 0 };
    },

    async count(query) {
      const parameters: unknown[] = [];
      const where = conditionOf(query, parameters);
      const [row] = await session.query<{ total: number }>(countStatement(where), parameters);
      return row?.total ?? 0;
    },

    async claimDue({ leaseMs, limit }) {
      const rows = await session.query<Claimed>(CLAIM, [session.now(), leaseMs, limit]);
      const claimed = rows.flatMap(({ lease_token: leaseToken, now, ...row }) => {
        const cron = readCron(row);
        return cron.nextRunAt === null ? [] : [{ cron: { ...cron, nextRunAt: cron.nextRunAt }, leaseToken, now }];
      });
      return claimed.sort((a, b) => a.cron.nextRunAt - b.cron.nextRunAt || (a.cron.cronId < b.cron.cronId ? -1 : 1));
    },

    async nextDueAt() {
      const [row] = await session.query<{ now: EpochMs; at: EpochMs | null }>(NEXT, [session.now()]);
      return { now: row?.now ?? 0, at: row?.at ?? null };
    },

    async fire({ cronId, leaseToken, next, draft, access }) {
      const request = randomUUID();
      const [row] = await session.query<Fired>(FIRE, (again) => [
        session.now(),
        request,
        again,
        toText(cronId),
        leaseToken,
        next,
        draft.watched === true,
        ...draftValues(draft, access),
        ...expiryValues(draft),
      ]);
      if (row?.fired !== true) return { kind: "lost" };
      const outcome: CreateRunOutcome = createdOutcome(draft, row);
      return { kind: "fired", outcome };
    },

    async skip({ cronId, leaseToken, next }) {
      const rows = await session.query(SKIP, [toText(cronId), leaseToken, next, randomUUID()]);
      return rows.length > 0;
    },
  };
}

/** A cron of a copy, in place of one of the same id. @throws HeddleError `ASSISTANT_NOT_FOUND`, `THREAD_NOT_FOUND` */
export async function putCron(session: Session, cron: Cron): Promise<void> {
  try {
    await session.query(PUT, [...columnValues(cron), cron.revision, cron.createdAt, cron.updatedAt]);
  } catch (error) {
    if (!isSqlState(error, "23503")) throw error;
    const { cause } = error as Error;
    throw cronWithout(cron, String(cause).includes("thread_id") ? "thread" : "assistant");
  }
}

function conditionOf(query: CronQuery, parameters: unknown[]): string {
  const conditions: string[] = [];
  const equals = (column: string, value: unknown): void => {
    parameters.push(value);
    conditions.push(`${column} = $${parameters.length}`);
  };
  if (query.assistantId !== undefined) equals("assistant_id", toText(query.assistantId));
  if (query.threadId !== undefined) equals("thread_id", toText(query.threadId));
  if (query.enabled !== undefined) equals("enabled", query.enabled);
  const filter = filterSql("metadata", query, parameters);
  if (filter !== null) conditions.push(filter);
  return conditions.length === 0 ? "true" : conditions.join(" AND ");
}

function countStatement(where: string): Statement {
  return { name: "", idempotent, text: `SELECT count(*)::integer AS total FROM heddle_crons WHERE ${where}` };
}

/** Nulls are the greatest, as Postgres has them by default. */
function pageStatement(
  where: string,
  order: { readonly sortBy: CronSortField; readonly direction: "ASC" | "DESC"; readonly after: number },
): Statement {
  const { direction, after } = order;
  const column = CRON_SORT_COLUMNS[order.sortBy];
  return {
    name: "",
    idempotent,
    text: `SELECT ${CRON_COLUMNS} FROM heddle_crons WHERE ${where}
      ORDER BY ${column} ${direction}, cron_id ${direction} LIMIT $${after + 1} OFFSET $${after + 2}`,
  };
}

/** In the order of the columns' names. JSON text has no character that Postgres does not take. */
function columnValues(cron: Omit<Cron, "revision" | "createdAt" | "updatedAt">): readonly unknown[] {
  const columns = cronColumns(cron);
  return CRON_COLUMN_NAMES.map((name) => {
    if (name === "metadata") return toJsonb(cron.metadata);
    const value = columns[name];
    return typeof value === "string" && name !== "payload" && name !== "creator" ? toText(value) : value;
  });
}

/** A row as it was given. */
export function readCron(row: CronColumns): Cron {
  const metadata = JSON.stringify(fromJsonb(row.metadata));
  const text = (stored: string | null): string | null => (stored === null ? null : fromText(stored));
  return cronOf({
    ...row,
    metadata,
    cron_id: fromText(row.cron_id),
    assistant_id: fromText(row.assistant_id),
    thread_id: text(row.thread_id),
    schedule: fromText(row.schedule),
    timezone: text(row.timezone),
  });
}
