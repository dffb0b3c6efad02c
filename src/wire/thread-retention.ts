import { z } from "zod";
import type { CheckpointsKept, PruneReport, StoredAmount, ThreadStorage } from "../core/checkpointer.js";
import { asJsonText, type JsonText, toJsonText } from "../core/json.js";
import { expiresAt, MAX_TTL_MINUTES, type Thread, threadTtl, type ThreadTtl, TTL_STRATEGIES } from "../core/thread.js";
import { decode, invalid } from "./decode.js";
import { isoText, quote } from "./json.js";
import { uuid } from "./schema.js";

const MINUTE_MS = 60_000;
/** As many as a search lists. */
const MAX_PRUNED = 1_000;
const MAX_KEPT = 1_000_000;

const minutes = z.number().positive().max(MAX_TTL_MINUTES);

/** `{strategy, ttl}`, or the minutes alone (§2.4.1). */
export const ttlSchema = z
  .union([minutes, z.object({ strategy: z.enum(TTL_STRATEGIES).nullish(), ttl: minutes })])
  .meta({
    id: "ThreadTtl",
  });

export function decodeTtl(sent: z.output<typeof ttlSchema>): ThreadTtl {
  if (typeof sent === "number") return threadTtl("delete", sent);
  return threadTtl(sent.strategy ?? "delete", sent.ttl);
}

/** `{strategy, ttl_minutes, expires_at}` (§2.2); `null` for a thread that lives for ever. */
export function encodeTtl(thread: Pick<Thread, "ttl" | "updatedAt">): JsonText {
  const expires = expiresAt(thread);
  if (thread.ttl === null || expires === null) return asJsonText("null");
  const { strategy, ttlMs } = thread.ttl;
  return asJsonText(
    `{"strategy":${quote(strategy)},"ttl_minutes":${ttlMs / MINUTE_MS},"expires_at":${isoText(expires)}}`,
  );
}

export const threadCopyBody = z
  .object({ mode: z.enum(["full", "latest", "last_n"]).nullish(), n: z.int().min(1).max(MAX_KEPT).nullish() })
  .meta({ id: "ThreadCopy" });

/** Which checkpoints a copy has (ours); `undefined`: all. */
export function decodeThreadCopy(body: unknown): CheckpointsKept | undefined {
  const { mode, n } = decode(threadCopyBody, body);
  if (mode === "last_n") {
    return typeof n === "number" ? { kind: "last", count: n } : invalid("n", 'is required with mode "last_n"');
  }
  if (typeof n === "number") invalid("n", 'has no meaning without mode "last_n"');
  return mode === "latest" ? { kind: "latest" } : undefined;
}

export const threadPruneBody = z
  .object({
    thread_ids: z.array(uuid).max(MAX_PRUNED),
    strategy: z.enum(TTL_STRATEGIES).nullish(),
    dry_run: z.boolean().nullish(),
  })
  .meta({ id: "ThreadPrune" });

/** §2.4.12; `dry_run` is ours. */
export function decodeThreadPrune(body: unknown) {
  const sent = decode(threadPruneBody, body);
  return {
    threadIds: sent.thread_ids.map((id) => id.toLowerCase()),
    strategy: sent.strategy ?? ("delete" as const),
    dryRun: sent.dry_run ?? false,
  };
}

/** `pruned_count`; with what goes, or would go, where it was counted (ours). */
export function encodePruned(pruned: { readonly count: number; readonly report: PruneReport | null }): JsonText {
  const { count, report } = pruned;
  if (report === null) return toJsonText({ pruned_count: count });
  const { checkpoints, writes, values, bytes } = report;
  return toJsonText({
    pruned_count: count,
    checkpoints,
    pending_writes: writes,
    channel_values: values,
    bytes,
  });
}

/** §2.4.13 */
export function encodeThreadStorage(threadId: string, storage: ThreadStorage): JsonText {
  const amount = ({ count, bytes }: StoredAmount) => ({ count, bytes });
  const { byChannel } = storage.channelValues;
  // By text: a channel may have any name.
  const channels = [...byChannel].map(([name, size]) => `${quote(name)}:${toJsonText({ ...size })}`).join(",");
  const values = `{"count":${storage.channelValues.count},"bytes":${storage.channelValues.bytes},"by_channel":{${channels}}}`;
  return asJsonText(
    `{"thread_id":${quote(threadId)},"total_bytes":${storage.totalBytes},` +
      `"checkpoints":${toJsonText(amount(storage.checkpoints))},"channel_values":${values},` +
      `"pending_writes":${toJsonText(amount(storage.pendingWrites))}}`,
  );
}
