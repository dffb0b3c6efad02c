import type { NewOpenwopEvent } from "./event.js";
import { LIMITS } from "./limits.js";
import type { InterruptRules } from "./seams.js";
import type { RunFold } from "./snapshot-types.js";
import { cancelledNodes, type HeldInterrupt } from "./translate.js";

/**
 * A run that asks for more clarifications than discovery's `limits.clarificationRounds` allows fails instead of waiting (docs/wire/openwop.md
 * §3.2 Caps; the kind and the code are [D]: README.md). Pure; `null`: it may ask.
 */
export function clarificationBreach(
  held: readonly HeldInterrupt[],
  { fold, rules }: { readonly fold: RunFold; readonly rules: Pick<InterruptRules, "suspensionOf"> },
): readonly NewOpenwopEvent[] | null {
  const limit = LIMITS.clarificationRounds;
  const before = fold.interrupts.filter(({ suspension }) => suspension.kind === "clarification").length;
  const asking = held.filter(({ value, node }) => rules.suspensionOf(value, node).kind === "clarification");
  const [first] = asking;
  if (first === undefined || before + asking.length <= limit) return null;
  const node = { nodeId: first.node };
  const message = `The run may ask for ${limit} clarifications, and needs more.`;
  return [
    { type: "cap.breached", ...node, payload: { kind: "clarification", limit, observed: limit + 1, ...node } },
    ...cancelledNodes(fold, "clarification_limit_exceeded"),
    { type: "run.failed", payload: { error: { code: "clarification_limit_exceeded", message } } },
  ];
}
