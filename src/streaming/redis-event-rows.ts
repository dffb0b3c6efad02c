import type { RunEventKind } from "../core/run-event.js";
import type { RunRef } from "../core/run.js";
import type { LogHead } from "./event-storage.js";

/* What Redis keeps of logs, as what it means. */

/** By the number that stands for each in Redis. */
export const KINDS: readonly RunEventKind[] = ["token", "state", "control"];

/** Of a log's head. */
export const HEAD_FIELDS = [
  "thread",
  "next_seq",
  "bytes",
  "resumable",
  "sealed_at",
  "lease_token",
  "tokens_to",
  "states_to",
  "lasting",
  "resting",
] as const;

/** @throws the first error among the answers */
export function valuesOf(answers: [error: Error | null, value: unknown][] | null): readonly unknown[] {
  return (answers ?? []).map(([error, value]) => {
    if (error !== null) throw error;
    return value;
  });
}

/** A log's head, of {@link HEAD_FIELDS}; `null` for another thread's, or none. */
export function headOf(run: RunRef, fields: readonly (string | null)[]): LogHead | null {
  const [thread, nextSeq, bytes, resumable, sealedAt, leaseToken, tokensTo, statesTo, lasting, resting] = fields;
  if (thread !== run.threadId) return null;
  return {
    nextSeq: Number(nextSeq),
    bytes: Number(bytes),
    resumable: resumable === "1",
    sealed: typeof sealedAt === "string",
    lasting: lasting === "1",
    resting: resting === "1",
    leaseToken: Number(leaseToken),
    evicted: { tokensTo: Number(tokensTo), statesTo: Number(statesTo) },
  };
}

/** An event's id in its stream. */
export function idOf(seq: number): string {
  return `${Math.max(seq, 0) + 1}-0`;
}

/** A log among others in an index. */
export function memberOf({ runId, threadId }: RunRef): string {
  return JSON.stringify([runId, threadId]);
}

/** The opposite of {@link memberOf}. */
export function refOf(member: string): RunRef {
  const [runId, threadId] = JSON.parse(member) as [string, string];
  return { runId, threadId };
}
