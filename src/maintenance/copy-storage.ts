import { createHash } from "node:crypto";
import { digestThread, listThreadIds, transferThread, transfersExactly } from "../checkpointers/transfer.js";
import type { Checkpointer } from "../core/checkpointer.js";
import { HeddleError } from "../core/errors.js";
import type { RowTransfer, TransferKind, TransferRow } from "../core/row-transfer.js";
import { TRANSFER_KINDS } from "../core/row-transfer.js";
import type { OpenedStore } from "../stores/registry.js";
import { clearProgress, PROGRESS_KEY, readProgress, type Stage, STAGES, writeProgress } from "./copy-progress.js";
import { type Checksum, isSameChecksum, RowChecksum } from "./row-digest.js";

/** Rows read and written at a time. A store gives fewer when they are large. */
const PAGE_ROWS = 200;
/** Threads whose checkpoints are copied side by side. */
const PARALLEL_THREADS = 4;

/** One side of a copy, open. */
export interface CopySide {
  /** Without secrets. */
  readonly name: string;
  /** The same for the same place, also when the password changes. */
  readonly identity: string;
  readonly store: OpenedStore;
  readonly checkpointer: Checkpointer;
}

/** Told after every page: how many rows (of `checkpoints`: threads) of a stage are done. */
export type CopyReport = (progress: {
  readonly step: "copy" | "compare";
  readonly stage: Stage;
  readonly done: number;
  /** `null` where nobody knows before the end. */
  readonly total: number | null;
}) => void;

export interface CopyResult {
  /** True when an earlier, unfinished copy was continued. */
  readonly resumed: boolean;
  /** Checkpoints copied by this call. */
  readonly checkpoints: number;
  /** Of every stage; of `checkpoints` the rows are threads. */
  readonly checksums: readonly { readonly stage: Stage; readonly source: Checksum; readonly target: Checksum }[];
  /** All checksums agree. */
  readonly equal: boolean;
}

/**
 * Copy a whole storage into an empty one, or go on with a copy that was cut off at any point; then compare the checksums of
 * all rows of both sides. Nothing may write to either side meanwhile. Writes are idempotent, and how far the copy has come is
 * kept in the target until the checksums agree.
 * @throws HeddleError `CONFIG_INVALID` when the target is not empty, holds the copy of something else, or a side can't be copied
 */
export async function copyStorage(params: {
  readonly from: CopySide;
  readonly to: CopySide;
  readonly onProgress?: CopyReport;
}): Promise<CopyResult> {
  const { from, to, onProgress = () => undefined } = params;
  const [source, target] = [transferOf(from), transferOf(to)];
  if (from.identity === to.identity) throw refused(`Source and target are the same: ${from.name}.`);
  const identity = createHash("sha256").update(from.identity).digest("hex");
  if ((await readProgress(from.store.items)) !== null) {
    throw refused(`${from.name} is itself the target of a copy that is not finished. Finish that one first.`);
  }
  const begun = await readProgress(to.store.items);
  if (begun === null) {
    await requireEmpty(to, target);
    await writeProgress(to.store.items, { source: identity, stage: "assistants", after: null });
  } else if (begun.source !== identity) {
    throw refused(
      `${to.name} holds an unfinished copy of another storage than ${from.name}. Finish that one, or use an empty target.`,
    );
  }
  const start = begun ?? { source: identity, stage: "assistants", after: null };
  const save = (stage: Stage, after: string | null): Promise<void> =>
    writeProgress(to.store.items, { source: identity, stage, after });

  let checkpoints = 0;
  for (const stage of STAGES.slice(STAGES.indexOf(start.stage))) {
    const after = stage === start.stage ? start.after : null;
    const report = (done: number, total: number | null): void => onProgress({ step: "copy", stage, done, total });
    const saved = (key: string | null): Promise<void> => save(stage, key);
    if (stage === "checkpoints") checkpoints = await copyCheckpoints({ from, to, after, saved, report });
    else await copyRows({ kind: stage, source, target, after, saved, report });
  }
  const checksums = await compare(from, to, onProgress);
  const equal = checksums.every((one) => isSameChecksum(one.source, one.target));
  if (equal) await clearProgress(to.store.items);
  return { resumed: begun !== null, checkpoints, checksums, equal };
}

interface StageCopy {
  /** The last key that an earlier copy finished. */
  readonly after: string | null;
  readonly saved: (key: string | null) => Promise<void>;
  readonly report: (done: number, total: number | null) => void;
}

async function copyRows(
  params: StageCopy & { readonly kind: TransferKind; readonly source: RowTransfer; readonly target: RowTransfer },
): Promise<void> {
  const { kind, source, target, after, saved, report } = params;
  let done = 0;
  for await (const rows of pagesOf(source, kind, after)) {
    await target.write({ kind, rows });
    done += rows.length;
    await saved(rows.at(-1)?.key ?? null);
    report(done, null);
  }
}

/** @returns how many checkpoints were copied */
async function copyCheckpoints(
  params: StageCopy & { readonly from: CopySide; readonly to: CopySide },
): Promise<number> {
  const { from, to, after, saved, report } = params;
  const all = await allThreadIds(from);
  const left = after === null ? all : all.slice(all.indexOf(after) + 1);
  let count = 0;
  for (let at = 0; at < left.length; at += PARALLEL_THREADS) {
    const threadIds = left.slice(at, at + PARALLEL_THREADS);
    const copied = await Promise.all(
      threadIds.map((threadId) => transferThread({ from: from.checkpointer, to: to.checkpointer, threadId })),
    );
    count += copied.reduce((sum, n) => sum + n, 0);
    await saved(threadIds.at(-1) ?? null);
    report(all.length - left.length + at + threadIds.length, all.length);
  }
  return count;
}

async function compare(from: CopySide, to: CopySide, onProgress: CopyReport): Promise<CopyResult["checksums"]> {
  const checksums: CopyResult["checksums"][number][] = [];
  for (const kind of TRANSFER_KINDS) {
    let done = 0;
    const count = (rows: number): void =>
      onProgress({ step: "compare", stage: kind, done: (done += rows), total: null });
    const source = await rowChecksum(transferOf(from), kind, count);
    checksums.push({ stage: kind, source, target: await rowChecksum(transferOf(to), kind, count) });
  }
  const [sourceIds, targetIds] = [await allThreadIds(from), await allThreadIds(to)];
  // Two checkpointers are compared by what both show.
  const exact = transfersExactly(from.checkpointer) && transfersExactly(to.checkpointer);
  let done = 0;
  const total = sourceIds.length + targetIds.length;
  const count = (): void => onProgress({ step: "compare", stage: "checkpoints", done: (done += 1), total });
  checksums.push({
    stage: "checkpoints",
    source: await checkpointChecksum(from.checkpointer, sourceIds, exact, count),
    target: await checkpointChecksum(to.checkpointer, targetIds, exact, count),
  });
  return checksums;
}

async function rowChecksum(
  transfer: RowTransfer,
  kind: TransferKind,
  count: (rows: number) => void,
): Promise<Checksum> {
  const checksum = new RowChecksum();
  for await (const rows of pagesOf(transfer, kind, null)) {
    for (const { key, value } of rows) checksum.add(key, value);
    count(rows.length);
  }
  return checksum.result();
}

async function checkpointChecksum(
  checkpointer: Checkpointer,
  threadIds: readonly string[],
  exact: boolean,
  count: () => void,
): Promise<Checksum> {
  const checksum = new RowChecksum();
  for (const threadId of threadIds) {
    checksum.add(threadId, await digestThread(checkpointer, threadId, { exact }));
    count();
  }
  return checksum.result();
}

/** Rows of a kind page by page, without the state of the copy itself. */
async function* pagesOf(
  transfer: RowTransfer,
  kind: TransferKind,
  start: string | null,
): AsyncGenerator<readonly TransferRow[]> {
  let after = start;
  for (;;) {
    const page = await transfer.read({ kind, after, limit: PAGE_ROWS });
    const last = page.at(-1);
    if (last === undefined) return;
    const rows = kind === "items" ? page.filter(({ key }) => key !== PROGRESS_KEY) : page;
    if (rows.length > 0) yield rows;
    after = last.key;
  }
}

/** Ids of all threads that have checkpoints, in the same order every time. */
async function allThreadIds({ checkpointer, store, name }: CopySide): Promise<readonly string[]> {
  const ids: string[] = [];
  for (let after: string | null = null; ; after = ids.at(-1) ?? null) {
    const page = await listThreadIds(checkpointer, { after, limit: 1_000 });
    // A checkpointer that can't list its threads has at least those of the storage.
    if (page === null) return threadRowIds(transferOf({ store, name }));
    if (page.length === 0) return ids;
    ids.push(...page);
  }
}

async function threadRowIds(transfer: RowTransfer): Promise<readonly string[]> {
  const ids: string[] = [];
  for await (const rows of pagesOf(transfer, "threads", null)) ids.push(...rows.map(({ key }) => key));
  return ids;
}

async function requireEmpty(to: CopySide, target: RowTransfer): Promise<void> {
  for (const kind of TRANSFER_KINDS) {
    const [row] = await target.read({ kind, after: null, limit: 1 });
    if (row !== undefined) throw notEmpty(to.name, `it has ${kind}`);
  }
  const threadIds = await listThreadIds(to.checkpointer, { after: null, limit: 1 });
  if (threadIds !== null && threadIds.length > 0) throw notEmpty(to.name, "it has checkpoints");
}

function notEmpty(name: string, what: string): HeddleError {
  return refused(
    `${name} is not empty (${what}), and no unfinished copy. A copy goes into an empty storage: use another database, ` +
      `schema or file.`,
  );
}

function transferOf({ store, name }: Pick<CopySide, "store" | "name">): RowTransfer {
  const { transfer, durable } = store.metadata;
  if (transfer === null || !durable) throw refused(`${name} can't be copied: nothing in it outlives its process.`);
  return transfer;
}

function refused(message: string): HeddleError {
  return new HeddleError("CONFIG_INVALID", { message });
}
