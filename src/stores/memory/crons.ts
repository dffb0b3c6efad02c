import type { AccessFilter } from "../../core/auth.js";
import type { Cron, CronPayload, CronQuery, CronSortField, CronStore } from "../../core/cron.js";
import { copyJson, type EpochMs } from "../../core/json.js";
import { isVisible, jsonContains } from "../../core/metadata-filter.js";
import type { CreateRunOutcome, NewRun } from "../../core/metadata-store.js";
import type { CronRow } from "./cron-rows.js";
import { createRun } from "./create-run.js";
import { runOf } from "./rows.js";
import type { Tables } from "./tables.js";

type SortKey = (cron: Cron) => string | number | null;

const SORT_KEYS: Readonly<Record<CronSortField, SortKey>> = {
  cron_id: (cron) => cron.cronId,
  assistant_id: (cron) => cron.assistantId,
  thread_id: (cron) => cron.threadId,
  next_run_date: (cron) => cron.nextRunAt,
  end_time: (cron) => cron.endTime,
  created_at: (cron) => cron.createdAt,
  updated_at: (cron) => cron.updatedAt,
};

/** Crons in memory. Each method is one synchronous step: that is what makes a tick's run and the cron's move one. */
export function createMemoryCrons(tables: Tables): CronStore {
  const { crons, clock } = tables;

  const visible = (cronId: string, access: AccessFilter): CronRow | null => {
    const row = crons.byId.get(cronId);
    return row !== undefined && isVisible(access, row.cron.metadata) ? row : null;
  };

  const held = (cronId: string, leaseToken: number): CronRow | null => {
    const row = crons.byId.get(cronId);
    return row !== undefined && row.leaseToken === leaseToken && row.leaseUntil !== null ? row : null;
  };

  const moveOn = (row: CronRow, next: EpochMs | null): void => {
    row.cron = { ...row.cron, nextRunAt: next };
    row.leaseUntil = null;
  };

  const matching = (query: CronQuery): Cron[] =>
    [...crons.byId.values()].map(({ cron }) => cron).filter((cron) => matches(cron, query));

  return {
    async create({ draft }) {
      const { assistantId, threadId } = draft;
      if (!tables.assistants.has(assistantId)) return { kind: "gone" };
      if (threadId !== null && !tables.threads.has(threadId)) return { kind: "gone" };
      const now = clock.now();
      const cron: Cron = { ...copyCron(draft), revision: 1, createdAt: now, updatedAt: now };
      crons.put({ cron, leaseToken: 0, leaseUntil: null });
      return { kind: "created", cron: copyCron(cron) };
    },

    async get({ cronId, access }) {
      const row = visible(cronId, access);
      return row && copyCron(row.cron);
    },

    async update({ cronId, revision, change, access }) {
      const row = visible(cronId, access);
      if (row === null) return { kind: "not-found" };
      if (row.cron.revision !== revision) return { kind: "changed" };
      row.cron = { ...copyCron({ ...row.cron, ...change }), revision: revision + 1, updatedAt: clock.now() };
      if (change.nextRunAt !== undefined) row.leaseUntil = null;
      return { kind: "updated", cron: copyCron(row.cron) };
    },

    async delete({ cronId, access }) {
      const row = visible(cronId, access);
      if (row !== null) crons.remove(cronId);
      return row && row.cron;
    },

    async search({ limit, offset, sortBy, sortOrder, ...query }) {
      const key = SORT_KEYS[sortBy];
      const sign = sortOrder === "asc" ? 1 : -1;
      const found = matching(query).sort((a, b) => sign * (compare(key(a), key(b)) || compare(a.cronId, b.cronId)));
      return { rows: found.slice(offset, offset + limit).map(copyCron), total: found.length };
    },

    count: async (query) => matching(query).length,

    async claimDue({ leaseMs, limit }) {
      const now = clock.now();
      const due = [...crons.byId.values()].flatMap((row) => {
        const { nextRunAt } = row.cron;
        return nextRunAt !== null && nextRunAt <= now && (row.leaseUntil ?? 0) <= now ? [{ row, nextRunAt }] : [];
      });
      due.sort((a, b) => a.nextRunAt - b.nextRunAt || compare(a.row.cron.cronId, b.row.cron.cronId));
      return due.slice(0, limit).map(({ row, nextRunAt }) => {
        row.leaseToken += 1;
        row.leaseUntil = now + leaseMs;
        return { cron: { ...copyCron(row.cron), nextRunAt }, leaseToken: row.leaseToken, now };
      });
    },

    async nextDueAt() {
      let at: EpochMs | null = null;
      for (const { cron, leaseUntil } of crons.byId.values()) {
        if (cron.nextRunAt === null) continue;
        const free = Math.max(cron.nextRunAt, leaseUntil ?? 0);
        if (at === null || free < at) at = free;
      }
      return { now: clock.now(), at };
    },

    async fire({ cronId, leaseToken, next, draft, access }) {
      const row = held(cronId, leaseToken);
      if (row === null) return { kind: "lost" };
      const outcome = existing(tables, draft) ?? createRun(tables, { draft, access });
      moveOn(row, next);
      return { kind: "fired", outcome };
    },

    async skip({ cronId, leaseToken, next }) {
      const row = held(cronId, leaseToken);
      if (row !== null) moveOn(row, next);
      return row !== null;
    },
  };
}

function existing(tables: Tables, { runId }: NewRun): CreateRunOutcome | null {
  const row = tables.runs.get(runId);
  if (row === undefined) return null;
  return { kind: "created", run: runOf(row), lease: null, superseded: [], watched: row.thread.watched };
}

function matches(cron: Cron, { assistantId, threadId, enabled, metadata, access }: CronQuery): boolean {
  if (assistantId !== undefined && cron.assistantId !== assistantId) return false;
  if (threadId !== undefined && cron.threadId !== threadId) return false;
  if (enabled !== undefined && cron.enabled !== enabled) return false;
  return jsonContains(cron.metadata, metadata) && isVisible(access, cron.metadata);
}

/** What is `null` is the greatest. */
function compare(a: string | number | null, b: string | number | null): number {
  if (a === b) return 0;
  if (a === null) return 1;
  if (b === null) return -1;
  return a < b ? -1 : 1;
}

/** Rows own what they hold. */
export function copyCron<C extends Pick<Cron, "payload" | "metadata" | "creator">>(cron: C): C {
  return {
    ...cron,
    payload: JSON.parse(JSON.stringify(cron.payload)) as CronPayload,
    metadata: copyJson(cron.metadata),
    creator: copyJson({ ...cron.creator }),
  };
}
