import { Folding } from "./fold.js";
import type { RunRecord } from "./run-record.js";
import type { InterruptRules } from "./seams.js";

/** Runs that are remembered. */
const MAX_FOLDS = 1_000;

/** How a run stands, as far as this process has read its log. */
export interface HeldFold {
  readonly fold: Folding;
  /** Appends of this process, one after the other. */
  turn: Promise<unknown>;
}

/** Folds of the runs that were asked for last. */
export function createFolds(rules: Pick<InterruptRules, "statusOf">): {
  held(record: RunRecord): HeldFold;
  forget(runId: string): void;
} {
  const folds = new Map<string, HeldFold>();
  return {
    held(record) {
      const held = folds.get(record.runId) ?? { fold: new Folding(record, rules), turn: Promise.resolve() };
      // The newest last: the one that was not asked for longest is forgotten.
      folds.delete(record.runId);
      folds.set(record.runId, held);
      if (folds.size > MAX_FOLDS) folds.delete(folds.keys().next().value ?? "");
      return held;
    },
    forget: (runId) => void folds.delete(runId),
  };
}
