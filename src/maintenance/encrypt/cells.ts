import { isHeddleError } from "../../core/errors.js";
import type { Resealed } from "../../encryption/reseal.js";

/** Cells read, and written in one go: between two goes the database and this process do something else. */
const PAGE_CELLS = 100;

/** A value that another program wrote, in a form that only it reads: it stays clear. */
export const FOREIGN = "foreign";

/** What came of some changes. */
export interface Replaced {
  readonly replaced: number;
  /** What the database does not take, and why: too large when it is encrypted. */
  readonly refused: readonly string[];
}

/** Values of one kind in one database. */
export interface CellTable<Cell = unknown, Value = unknown> {
  /** For people: `threads: values`. */
  readonly name: string;
  /** In the order of their keys, after one of them. */
  read(after: Cell | null, limit: number): Promise<readonly Cell[]> | readonly Cell[];
  /** `null` for what has nothing to hide. @throws HeddleError `DECRYPTION_FAILED` */
  reseal(cell: Cell): Resealed<Value> | typeof FOREIGN | null;
  /** Each only if it still is as it was read. @returns how many were replaced */
  replace(changes: readonly Change<Cell, Value>[]): Promise<number | Replaced> | number;
}

export interface Change<Cell, Value> {
  readonly cell: Cell;
  readonly next: Value;
}

/** Of refused values. */
const MAX_NAMED = 10;

/** What was found and done. */
export interface RewriteCount {
  readonly name: string;
  /** Values by what they were found under; `""`: clear. */
  readonly found: Readonly<Record<string, number>>;
  /** To be rewritten; with `isDryRun` nothing was. */
  readonly wanted: number;
  readonly rewritten: number;
  /** That no key of the ring opens, or that were changed. */
  readonly unreadable: number;
  readonly firstError: string | null;
  /** {@link FOREIGN} ones. */
  readonly foreign: number;
  /** Not part of `wanted`: what the database does not take. Their names, at most {@link MAX_NAMED}. */
  readonly refused: number;
  readonly refusedNames: readonly string[];
}

/**
 * Bring every cell of a table to what it should be. Others may write meanwhile: what changed between reading and writing is left
 * as they wrote it, and counted as wanted and not rewritten.
 */
export async function rewriteTable(
  table: CellTable,
  options: { readonly isDryRun: boolean; readonly onPage?: (done: number) => void },
): Promise<RewriteCount> {
  const found: Record<string, number> = {};
  let [wanted, rewritten, unreadable, done, foreign] = [0, 0, 0, 0, 0];
  const refused: string[] = [];
  let firstError: string | null = null;
  let after: unknown = null;
  for (;;) {
    const cells = await table.read(after, PAGE_CELLS);
    if (cells.length === 0) break;
    after = cells.at(-1);
    const changes: Change<unknown, unknown>[] = [];
    for (const cell of cells) {
      try {
        const resealed = table.reseal(cell);
        if (resealed === null) continue;
        if (resealed === FOREIGN) {
          foreign += 1;
          continue;
        }
        const { keyId, next } = resealed;
        found[keyId ?? ""] = (found[keyId ?? ""] ?? 0) + 1;
        if (next !== null) changes.push({ cell, next });
      } catch (error) {
        if (!isHeddleError(error) || error.code !== "DECRYPTION_FAILED") throw error;
        unreadable += 1;
        firstError ??= error.message;
      }
    }
    wanted += changes.length;
    if (!options.isDryRun && changes.length > 0) {
      const answer = await table.replace(changes);
      const result = typeof answer === "number" ? { replaced: answer, refused: [] } : answer;
      rewritten += result.replaced;
      wanted -= result.refused.length;
      refused.push(...result.refused);
    }
    options.onPage?.((done += cells.length));
    await new Promise((resolve) => setImmediate(resolve));
  }
  const refusedNames = refused.slice(0, MAX_NAMED);
  const left = { foreign, refused: refused.length, refusedNames };
  return { name: table.name, found, wanted, rewritten, unreadable, firstError, ...left };
}
