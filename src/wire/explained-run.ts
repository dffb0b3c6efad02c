import type { EpochMs, JsonText } from "../core/json.js";
import type { RunExplanation } from "../core/metadata-store.js";
import { isTerminal } from "../core/run-lifecycle.js";
import type { FieldEncoders } from "./json.js";
import { encodeFields, isoText, quote } from "./json.js";

/** What is encoded: a store's explanation with what the service adds. */
interface Explained extends RunExplanation {
  readonly maxAttempts: number;
  readonly reason: string;
}

const ENCODERS = {
  run_id: ({ run }) => quote(run.runId),
  thread_id: ({ run }) => quote(run.threadId),
  status: ({ run }) => quote(run.status),
  reason: ({ reason }) => quote(reason),
  /** In-flight runs of the thread that come before it; 0 for the one that runs or is next. */
  position: ({ run, ahead }) => (isTerminal(run.status) ? "null" : String(ahead)),
  blocking_run: ({ blockedBy }) =>
    blockedBy === null ? "null" : `{"run_id":${quote(blockedBy.runId)},"status":${quote(blockedBy.status)}}`,
  lease: ({ holder }) =>
    holder === null
      ? "null"
      : `{"worker_id":${quote(holder.workerId)},"heartbeat_at":${isoText(holder.heartbeatAt)},"expires_at":${isoText(holder.expiresAt)}}`,
  attempt: ({ run }) => String(run.attempt),
  max_attempts: ({ maxAttempts }) => String(maxAttempts),
  next_attempt_at: ({ retryAt }) => time(retryAt),
  due_at: ({ run }) => isoText(run.dueAt),
  cancel_requested: ({ cancelRequested }) => (cancelRequested === null ? "null" : quote(cancelRequested)),
  /** The storage's time: what the others are to be compared with. */
  now: ({ now }) => isoText(now),
} satisfies FieldEncoders<Explained, string>;

/** Why a run is where it is (ours: no other server has it). */
export function encodeExplainedRun(explained: Explained): JsonText {
  return encodeFields<Explained, keyof typeof ENCODERS>(ENCODERS, explained);
}

function time(ms: EpochMs | null): string {
  return ms === null ? "null" : isoText(ms);
}
