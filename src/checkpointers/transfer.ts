import type { BaseCheckpointSaver } from "@langchain/langgraph-checkpoint";
import { createHash } from "node:crypto";
import type { Checkpointer } from "../core/checkpointer.js";
import { textOf } from "./serde.js";
import { saverTransfer } from "./saver-transfer.js";
import { inWriteOrder, type CheckpointParts } from "./stored-checkpoint.js";

/** How many checkpoints are in memory at once. */
const PAGE_ROWS = 32;

/** Where a page of {@link CheckpointTransfer.readCheckpoints} starts: after this checkpoint. */
export interface TransferPlace {
  readonly checkpointNs: string;
  readonly id: string;
}

/** What a saver of ours has beside LangGraph's interface: whole checkpoints in and out, with task paths. */
export interface CheckpointTransfer {
  /** Threads that have checkpoints, in an order of the saver's own, after one of them. */
  threadIds(params: { readonly after: string | null; readonly limit: number }): Promise<readonly string[]>;
  /** By namespace and id: parents come before their children. At most `limit`, or all that are left. */
  readCheckpoints(params: {
    readonly threadId: string;
    readonly after: TransferPlace | null;
    readonly limit: number;
  }): Promise<readonly CheckpointParts[]>;
  /** Insert, or replace what has the same address. */
  writeCheckpoints(checkpoints: readonly CheckpointParts[]): Promise<void>;
}

const METHODS = ["threadIds", "readCheckpoints", "writeCheckpoints"] as const;

/** The saver's own way, or one through LangGraph's interface, which has the whole thread in memory and shows no task paths. */
function transferOf(checkpointer: Checkpointer): Pick<CheckpointTransfer, "readCheckpoints" | "writeCheckpoints"> {
  const saver = checkpointer.saver as BaseCheckpointSaver & Partial<CheckpointTransfer>;
  return canTransfer(saver) ? saver : saverTransfer(saver);
}

function canTransfer<S extends object>(saver: S & Partial<CheckpointTransfer>): saver is S & CheckpointTransfer {
  return METHODS.every((name) => typeof saver[name] === "function");
}

/**
 * Ids of threads that have checkpoints, page by page, in an order of the checkpointer's own.
 * @param params.after the last one of the page before
 * @returns `null` when the checkpointer cannot say
 */
export async function listThreadIds(
  checkpointer: Checkpointer,
  params: { readonly after: string | null; readonly limit: number },
): Promise<readonly string[] | null> {
  const saver = checkpointer.saver as Partial<CheckpointTransfer>;
  return canTransfer(saver) ? saver.threadIds(params) : null;
}

/**
 * Copy a thread's checkpoints from one checkpointer to another: all namespaces, oldest first, with values, pending writes,
 * task paths and metadata, a page at a time. Doing it twice is doing it once; what the target has besides stays.
 * Pending writes whose checkpoint was never saved are left out. Nothing may write to the thread meanwhile.
 * @returns the number of checkpoints
 */
export async function transferThread(params: {
  readonly from: Checkpointer;
  readonly to: Checkpointer;
  readonly threadId: string;
}): Promise<number> {
  const { from, to, threadId } = params;
  const target = transferOf(to);
  let count = 0;
  for await (const page of pagesOf(from, threadId)) {
    await target.writeCheckpoints(page);
    count += page.length;
  }
  return count;
}

/** Whether {@link transferThread} keeps task paths and memory bounded with this checkpointer. */
export function transfersExactly(checkpointer: Checkpointer): boolean {
  return canTransfer(checkpointer.saver as Partial<CheckpointTransfer>);
}

/**
 * A digest (hexadecimal SHA-256) of everything that {@link transferThread} copies, the same whatever the checkpointer: JSON
 * without regard to the order of keys, and of channel versions only the counter, because the Postgres checkpointer gives
 * forks versions of their own.
 * @param options.exact with task paths and positions of pending writes, not only their order. Default: where the
 * checkpointer shows them ({@link transfersExactly}); to compare two checkpointers ask for what both show
 */
export async function digestThread(
  checkpointer: Checkpointer,
  threadId: string,
  options: { readonly exact?: boolean } = {},
): Promise<string> {
  const { exact = transfersExactly(checkpointer) } = options;
  const digests: string[] = [];
  const values = new Map<string, string>();
  for await (const page of pagesOf(checkpointer, threadId)) {
    for (const parts of page) digests.push(sha256(canonicalOf(parts, values, exact)));
  }
  // Each tells its namespace and id, so their order, which differs from one database to the next, adds nothing.
  return sha256(digests.toSorted().join("\n"));
}

async function* pagesOf(checkpointer: Checkpointer, threadId: string): AsyncGenerator<readonly CheckpointParts[]> {
  const source = transferOf(checkpointer);
  let after: TransferPlace | null = null;
  for (;;) {
    const page: readonly CheckpointParts[] = await source.readCheckpoints({ threadId, after, limit: PAGE_ROWS });
    const last = page.at(-1);
    if (last === undefined) return;
    yield page;
    after = { checkpointNs: last.checkpointNs, id: last.id };
  }
}

/** @param values digests of the last checkpoints' values, which the next one shares for the most part */
function canonicalOf(parts: CheckpointParts, values: Map<string, string>, exact: boolean): string {
  const { checkpointNs, id, parentId = null, header, metadata } = parts;
  const channels: Record<string, string> = {};
  const seen = new Map<string, string>();
  for (const { channel, data } of parts.channels) {
    const text = textOf(data);
    const digest = values.get(text) ?? sha256(canonicalJson(text));
    seen.set(text, digest);
    Object.defineProperty(channels, channel, { value: digest, enumerable: true });
  }
  values.clear();
  for (const [text, digest] of seen) values.set(text, digest);
  const writes = inWriteOrder(parts.writes).map(({ taskId, idx, taskPath, channel, data }) => {
    const digest = sha256(canonicalJson(textOf(data)));
    return exact ? [taskId, channel, digest, taskPath, idx] : [taskId, channel, digest];
  });
  const versionsSeen = Object.entries(header.versions_seen).map(([node, versions]) => [node, counters(versions)]);
  const { v, ts } = header;
  return stable([checkpointNs, id, parentId, v, ts, counters(header.channel_versions), Object.fromEntries(versionsSeen), metadata, channels, writes]); // prettier-ignore
}

/** `2.718281` → 2, `00…02.0.718281` → `00…02` */
function counters(versions: Readonly<Record<string, string | number>>): Record<string, string | number> {
  const entries = Object.entries(versions).map(([channel, version]): [string, string | number] => [
    channel,
    typeof version === "number" ? Math.floor(version) : (/^[^.~]*/.exec(version)?.[0] ?? version),
  ]);
  return Object.fromEntries(entries);
}

const canonicalJson = (text: string): string => stable(JSON.parse(text));

/** JSON with sorted keys. */
function stable(value: unknown): string {
  return (
    JSON.stringify(value, (_, field: unknown) =>
      typeof field === "object" && field !== null && !Array.isArray(field)
        ? Object.fromEntries(Object.entries(field).toSorted(([a], [b]) => (a < b ? -1 : 1)))
        : field,
    ) ?? "null"
  );
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
