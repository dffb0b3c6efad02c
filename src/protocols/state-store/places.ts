import { createHash } from "node:crypto";
import { namespaceLabel } from "../../core/item-namespace.js";
import type { RecordKey } from "../../core/record.js";

/** Of the values' records. */
export const SPACE = "state-store";

/** The label before a workflow's, in the namespaces of items. */
export const STATE_LABEL = "state";

/** What keys of owners begin with whose labels are too long for one. */
export const LONG_OWNER = "long:";

/** Longest part of a record's key. */
const MAX_PART_CHARS = 1_024;

/** A value, as authorization handlers and the item store see it: an item. */
export interface ItemPlace {
  readonly namespace: readonly string[];
  readonly key: string;
}

/** Where a workflow's values lie among the items: `["state", workflow]`, below what the caller's items lie under. */
export function stateNamespace(prefix: readonly string[], workflowId: string): readonly string[] {
  return [...prefix, STATE_LABEL, namespaceLabel(workflowId)];
}

/** Whose the workflow of a namespace is, and which; `null`: it is none of a workflow. */
export function workflowOf(
  namespace: readonly string[],
): { readonly prefix: readonly string[]; readonly workflow: string } | null {
  const workflow = namespace.at(-1);
  if (workflow === undefined || namespace.at(-2) !== STATE_LABEL) return null;
  return { prefix: namespace.slice(0, -2), workflow };
}

/**
 * Where a value's record lies: its owner is the namespace that the caller's items lie under, as the authorizer granted it, so that the
 * State Store keeps apart whom the item store keeps apart, and both show the same values. A namespace that a handler made into another
 * form than a workflow's has an owner of its own, which no item is seen under.
 */
export function recordKeyOf({ namespace, key }: ItemPlace): RecordKey {
  const at = workflowOf(namespace);
  if (at === null) return { space: SPACE, owner: foreignOwner(namespace), collection: namespace.at(-1) ?? "", key };
  return { space: SPACE, owner: ownerOfPrefix(at.prefix), collection: at.workflow, key };
}

/** `""` for values that lie under nobody's labels. Never longer than a part of a record's key may be. */
export function ownerOfPrefix(prefix: readonly string[]): string {
  return prefix.length === 0 ? "" : bounded(JSON.stringify(prefix));
}

function foreignOwner(namespace: readonly string[]): string {
  return `other:${bounded(JSON.stringify(namespace))}`;
}

function bounded(text: string): string {
  return text.length < MAX_PART_CHARS / 2
    ? text
    : `${LONG_OWNER}${createHash("sha256").update(text).digest("base64url")}`;
}

/** What is wrong with a workflow's or a value's name, as a sentence; `null`: nothing. */
export function nameProblem(text: string): string | null {
  if (text === "") return "must not be empty";
  if (text.length > MAX_PART_CHARS || namespaceLabel(text).length > MAX_PART_CHARS) {
    return `is too long: at most ${MAX_PART_CHARS} characters, of which %, . and * count three`;
  }
  if (text.includes("\0")) return "must not hold NUL";
  return text.isWellFormed() ? null : "is no well-formed Unicode: it has half a surrogate pair";
}
