import type { Cron, CronChange, CronCreator, CronPayload, CronSortField, NewCron } from "../core/cron.js";
import type { EpochMs, JsonObject } from "../core/json.js";
import { toJsonText } from "../core/json.js";
import type { MultitaskStrategy } from "../core/run.js";

/* Crons as SQL stores keep them; times in epoch milliseconds, what users own as JSON text. */

export type CronColumns = {
  readonly cron_id: string;
  readonly assistant_id: string;
  readonly thread_id: string | null;
  readonly schedule: string;
  readonly timezone: string | null;
  readonly end_time: EpochMs | null;
  readonly enabled: boolean | 0 | 1;
  readonly on_run_completed: "delete" | "keep";
  readonly multitask_strategy: MultitaskStrategy;
  readonly payload: string;
  readonly metadata: string;
  readonly creator: string;
  readonly next_run_at: EpochMs | null;
  readonly revision: number;
  readonly created_at: EpochMs;
  readonly updated_at: EpochMs;
};

/** Columns that {@link cronColumns} fills, in its order. */
export const CRON_COLUMN_NAMES = [
  "cron_id",
  "assistant_id",
  "thread_id",
  "schedule",
  "timezone",
  "end_time",
  "enabled",
  "on_run_completed",
  "multitask_strategy",
  "payload",
  "metadata",
  "creator",
  "next_run_at",
] as const;

/** The column, or what stands for it, by which a search sorts. */
export const CRON_SORT_COLUMNS: Readonly<Record<CronSortField, keyof CronColumns>> = {
  cron_id: "cron_id",
  assistant_id: "assistant_id",
  thread_id: "thread_id",
  next_run_date: "next_run_at",
  end_time: "end_time",
  created_at: "created_at",
  updated_at: "updated_at",
};

export function cronOf(row: CronColumns): Cron {
  return {
    cronId: row.cron_id,
    assistantId: row.assistant_id,
    threadId: row.thread_id,
    schedule: row.schedule,
    timezone: row.timezone,
    endTime: row.end_time,
    enabled: Boolean(row.enabled),
    onRunCompleted: row.on_run_completed,
    multitaskStrategy: row.multitask_strategy,
    payload: JSON.parse(row.payload) as CronPayload,
    metadata: JSON.parse(row.metadata) as JsonObject,
    creator: JSON.parse(row.creator) as CronCreator,
    nextRunAt: row.next_run_at,
    revision: row.revision,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

/** The columns of a new cron; `metadata` as JSON text. */
export function cronColumns(draft: NewCron): Omit<CronColumns, "revision" | "created_at" | "updated_at" | "enabled"> & {
  readonly enabled: boolean;
} {
  return {
    cron_id: draft.cronId,
    assistant_id: draft.assistantId,
    thread_id: draft.threadId,
    schedule: draft.schedule,
    timezone: draft.timezone,
    end_time: draft.endTime,
    enabled: draft.enabled,
    on_run_completed: draft.onRunCompleted,
    multitask_strategy: draft.multitaskStrategy,
    payload: JSON.stringify(draft.payload),
    metadata: toJsonText(draft.metadata),
    creator: JSON.stringify(draft.creator),
    next_run_at: draft.nextRunAt,
  };
}

/** A cron with what changes; absent keeps. */
export function changedCron(cron: Cron, change: CronChange): Cron {
  return { ...cron, ...change };
}
