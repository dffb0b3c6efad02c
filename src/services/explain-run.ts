import type { EpochMs } from "../core/json.js";
import { isJsonObject, parseJsonText } from "../core/json.js";
import type { RunExplanation } from "../core/metadata-store.js";
import { isTerminal } from "../core/run-lifecycle.js";
import type { Run } from "../core/run.js";

/** A run that is due this long and has nothing before it makes one ask whether there are workers. */
const LONG_WAIT_MS = 10_000;

/** Why a run is where it is, with a sentence for people. */
export interface ExplainedRun extends RunExplanation {
  /** How often a run may be started before it ends as `error`, as this process is configured. */
  readonly maxAttempts: number;
  readonly reason: string;
}

/** Say in one or two sentences what a run waits for. Times are the store's. */
export function explainedRun(explanation: RunExplanation, maxAttempts: number): ExplainedRun {
  return { ...explanation, maxAttempts, reason: reasonOf(explanation, maxAttempts) };
}

function reasonOf(explanation: RunExplanation, maxAttempts: number): string {
  const { status } = explanation.run;
  if (isTerminal(status)) return endedReason(explanation.run);
  return status === "running" ? runningReason(explanation, maxAttempts) : pendingReason(explanation);
}

function endedReason({ status, error }: Run): string {
  const said = error === null ? null : parseJsonText(error);
  const words = isJsonObject(said) ? [said["error"], said["message"]].filter((word) => typeof word === "string") : [];
  const detail = words.length === 0 ? "." : `: ${words.join(": ")}`;
  return `The run has ended with status ${status}${detail}`;
}

function runningReason({ run, now, holder, cancelRequested }: RunExplanation, maxAttempts: number): string {
  const attempt = `attempt ${run.attempt} of ${maxAttempts}`;
  if (holder === null) return `The run is being executed (${attempt}).`;
  const { workerId, heartbeatAt, expiresAt } = holder;
  if (expiresAt <= now) {
    return (
      `Worker ${workerId} holds the run (${attempt}), but was last heard of ${ago(heartbeatAt, now)}, and its lease expired ` +
      `${ago(expiresAt, now)}: the next worker that looks takes the run over.`
    );
  }
  const cancel =
    cancelRequested === null ? "" : ` A cancel (${cancelRequested}) was requested: its worker is stopping it.`;
  return `The run is being executed by worker ${workerId} (${attempt}), last heard of ${ago(heartbeatAt, now)}.${cancel}`;
}

function pendingReason(explanation: RunExplanation): string {
  const { run, now, ahead, blockedBy, retryAt, cancelRequested } = explanation;
  const cancel =
    cancelRequested === null ? "" : ` A cancel (${cancelRequested}) was requested: the worker that gets it ends it.`;
  if (blockedBy !== null) {
    const others = ahead === 1 ? "" : ` and ${ahead - 1} more`;
    const pause = retryAt === null ? "" : `, which pauses until ${at(retryAt, now)} because a worker was lost`;
    const which = `run ${blockedBy.runId} (${blockedBy.status})${others}`;
    return `Runs of a thread are executed one after the other: ${which} of this thread comes first${pause}.${cancel}`;
  }
  if (retryAt !== null) {
    const lost = run.attempt > 0 ? `Attempt ${run.attempt} of this run` : "Another run of the thread";
    return `${lost} was lost with its worker: the thread pauses until ${at(retryAt, now)}.${cancel}`;
  }
  if (run.dueAt > now) return `The run is not due before ${at(run.dueAt, now)}.${cancel}`;
  const waitsMs = now - Math.max(run.dueAt, run.updatedAt);
  const hint =
    waitsMs < LONG_WAIT_MS ? "" : ` It has been for ${duration(waitsMs)}: are all workers busy, or is none running?`;
  return `The run is due and waits for a worker with a free slot.${hint}${cancel}`;
}

function at(time: EpochMs, now: EpochMs): string {
  return `${new Date(time).toISOString()} (in ${duration(time - now)})`;
}

function ago(time: EpochMs, now: EpochMs): string {
  return `${duration(now - time)} ago`;
}

function duration(ms: number): string {
  return ms < 10_000 ? `${(Math.max(0, ms) / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`;
}
