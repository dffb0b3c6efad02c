import type { CancelAction, MultitaskStrategy } from "./run.js";

/** What a new run does to the runs in flight on its thread (docs/wire/langgraph-api.md §2.9.2). */
export type MultitaskDecision =
  { readonly kind: "refuse" } | { readonly kind: "insert"; readonly cancelInflight: CancelAction | null };

/** The rule itself; stores apply it inside the transaction that inserts the run. */
export function decideMultitask(strategy: MultitaskStrategy, inflightCount: number): MultitaskDecision {
  if (inflightCount === 0 || strategy === "enqueue") return { kind: "insert", cancelInflight: null };
  if (strategy === "reject") return { kind: "refuse" };
  return { kind: "insert", cancelInflight: strategy };
}
