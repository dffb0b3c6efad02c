import { v5 } from "uuid";
import { ALL_ROWS } from "../core/auth.js";
import type { ClaimedCron, Cron } from "../core/cron.js";
import { callerOfCreator } from "../core/cron.js";
import { type ErrorCode, isHeddleError } from "../core/errors.js";
import type { EpochMs } from "../core/json.js";
import type { Logger } from "../core/logger.js";
import type { MetadataStore } from "../core/metadata-store.js";
import { isRefusal } from "./authorization.js";
import { parseSchedule, type Schedule } from "./cron-schedule.js";
import { decideTick, type TickDecision, type TickPolicy } from "./cron-ticks.js";
import type { RunRequest } from "./run-request.js";
import type { RunsService } from "./runs.js";

/** Another try will not fare better: the tick goes without a run. */
const FINAL: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "ASSISTANT_NOT_FOUND",
  "GRAPH_NOT_FOUND",
  "THREAD_NOT_FOUND",
  "INVALID_REQUEST",
  "UNSUPPORTED_OPTION",
  "UNAUTHENTICATED",
  "FORBIDDEN",
  // Too many runs of its thread wait: the next tick may find room.
  "LIMIT_REACHED",
]);

/** Crons whose missed ticks are being made up for, that are remembered. */
const CATCHING_UP_AT_MOST = 1_000;

/**
 * Starts the run of a claimed cron's tick, as whoever created the cron: with their `langgraph_auth_user`, their right to create runs
 * (asked anew each time) and to see the assistant and the thread. The run's id, and that of its thread, follow from cron and tick.
 * @returns a function that rejects when the tick is to be tried again, once the claim has run out
 */
export function createCronFiring(
  deps: {
    readonly store: MetadataStore;
    readonly runs: Pick<RunsService, "createForTick">;
    readonly logger: Logger;
  },
  policy: TickPolicy,
): (claimed: ClaimedCron) => Promise<void> {
  const { store, logger } = deps;
  /** By the cron's id, with `all`: since when its missed ticks are being made up for, one after the other. */
  const catchingUp = new Map<string, { readonly from: EpochMs; readonly lastAt: EpochMs }>();

  const decide = async (schedule: Schedule, { cron, now }: ClaimedCron): Promise<TickDecision> => {
    const { cronId, nextRunAt, endTime } = cron;
    const known = catchingUp.get(cronId);
    const isKept = known !== undefined && known.from <= nextRunAt && now - known.lastAt < policy.missedAfterMs;
    const decision = await decideTick(schedule, { nextRunAt, now, endTime, policy, isKept });
    if (policy.missed !== "all" || nextRunAt >= now - policy.missedAfterMs || decision.tick === null) {
      catchingUp.delete(cronId);
      return decision;
    }
    if (catchingUp.size >= CATCHING_UP_AT_MOST) catchingUp.clear();
    catchingUp.set(cronId, { from: isKept ? known.from : decision.tick, lastAt: now });
    return decision;
  };

  const start = async (claimed: ClaimedCron, tick: EpochMs, next: EpochMs | null): Promise<void> => {
    const { cron, leaseToken } = claimed;
    const { cronId, threadId } = cron;
    const outcome = await deps.runs.createForTick(callerOfCreator(cron.creator), {
      runId: v5(`run:${tick}`, cronId),
      threadId,
      newThreadId: v5(`thread:${tick}`, cronId),
      request: requestOf(cron),
      insert: ({ draft, access }) => store.crons.fire({ cronId, leaseToken, next, draft, access }),
    });
    const told = { cronId, tick: new Date(tick).toISOString() };
    if (outcome === "lost") logger.info(told, "a cron was moved on by somebody else");
    else if (outcome === "busy") logger.warn(told, "a cron's thread is busy, and its strategy is to reject: no run");
    else if (outcome === "no-thread") await withoutThread(cron);
    else logger.info({ ...told, runId: outcome.runId, threadId: outcome.threadId }, "a cron has started a run");
  };

  const withoutThread = async (cron: Cron): Promise<void> => {
    const { cronId, threadId } = cron;
    if (threadId !== null && (await store.threads.get({ threadId, access: ALL_ROWS })) === null) {
      // A deletion that a crash cut short, where no transaction spans both.
      await store.crons.delete({ cronId, access: ALL_ROWS });
      logger.info({ cronId, threadId }, "a cron is removed: its thread is gone");
    } else logger.warn({ cronId, threadId }, "a cron's creator may not see its thread: no run");
  };

  const goOn = async (claimed: ClaimedCron, next: EpochMs | null, error: unknown): Promise<void> => {
    const { cron, leaseToken } = claimed;
    const { cronId, assistantId } = cron;
    const isGone =
      isHeddleError(error) &&
      error.code === "ASSISTANT_NOT_FOUND" &&
      (await store.assistants.get({ assistantId, access: ALL_ROWS })) === null;
    if (isGone) {
      await store.crons.delete({ cronId, access: ALL_ROWS });
      logger.info({ cronId, assistantId }, "a cron is removed: its assistant is gone");
      return;
    }
    logger.warn({ err: error, cronId }, "a cron's run was refused: it goes on with the next tick");
    await store.crons.skip({ cronId, leaseToken, next });
  };

  return async (claimed) => {
    const { cron, leaseToken } = claimed;
    const { cronId, nextRunAt } = cron;
    const schedule = parseSchedule(cron.schedule, cron.timezone);
    const { tick, next, dropped } = await decide(schedule, claimed);
    if (dropped) {
      const since = new Date(nextRunAt).toISOString();
      logger.warn({ cronId, since, missed: policy.missed }, "ticks of a cron were missed, and are dropped");
    }
    if (tick === null) {
      await store.crons.skip({ cronId, leaseToken, next });
      return;
    }
    try {
      await start(claimed, tick, next);
    } catch (error) {
      if (!isRefusal(error) && !(isHeddleError(error) && FINAL.has(error.code))) throw error;
      await goOn(claimed, next, error);
    }
  };
}

function requestOf(cron: Cron): RunRequest {
  return {
    ...cron.payload,
    assistantId: cron.assistantId,
    metadata: { ...cron.metadata, cron_id: cron.cronId },
    multitaskStrategy: cron.multitaskStrategy,
    ifNotExists: "reject",
    onCompletion: cron.onRunCompleted,
    afterSeconds: 0,
  };
}
