import type { Cron } from "../../core/cron.js";
import type { EpochMs } from "../../core/json.js";

export interface CronRow {
  /** Never changed, only replaced. */
  cron: Cron;
  leaseToken: number;
  /** `null`: nobody has claimed it. */
  leaseUntil: EpochMs | null;
}

/** The crons of a memory store, also by what they go with. */
export class CronRows {
  readonly byId = new Map<string, CronRow>();
  readonly #byThread = new Map<string, Set<string>>();

  /** Insert a cron, or replace one of the same id. */
  put(row: CronRow): void {
    this.remove(row.cron.cronId);
    const { cronId, threadId } = row.cron;
    this.byId.set(cronId, row);
    if (threadId === null) return;
    const ids = this.#byThread.get(threadId) ?? new Set();
    this.#byThread.set(threadId, ids.add(cronId));
  }

  remove(cronId: string): void {
    const threadId = this.byId.get(cronId)?.cron.threadId ?? null;
    this.byId.delete(cronId);
    if (threadId === null) return;
    const ids = this.#byThread.get(threadId);
    ids?.delete(cronId);
    if (ids?.size === 0) this.#byThread.delete(threadId);
  }

  removeOfThread(threadId: string): void {
    for (const cronId of this.#byThread.get(threadId) ?? []) this.remove(cronId);
  }

  removeOfAssistant(assistantId: string): void {
    for (const { cron } of this.byId.values()) if (cron.assistantId === assistantId) this.remove(cron.cronId);
  }
}
