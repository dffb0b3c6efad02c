import type { AuthAction } from "../core/auth.js";
import { HeddleError } from "../core/errors.js";
import { namespaceLabel } from "../core/item-namespace.js";
import type { JsonValue } from "../core/json.js";

/**
 * A caller's items lie under the labels of its marks: `["acme", "ada", …]`. Namespaces are demanded, not rewritten: what a graph
 * wrote under the same labels is what its user finds over HTTP. A search or list that asks for less gets this much.
 * @param labels of the caller, not yet encoded
 * @throws HeddleError `FORBIDDEN` for another namespace
 */
export function confinedStoreValue(
  labels: readonly string[],
  action: AuthAction,
  value: Readonly<Record<string, JsonValue | undefined>>,
): { readonly namespace: readonly string[] } {
  const needed = labels.map(namespaceLabel);
  const { namespace } = value;
  const given: readonly JsonValue[] = Array.isArray(namespace) ? namespace : [];
  const isUnder = needed.every((label, index) => given[index] === label);
  if (isUnder) return { namespace: given as readonly string[] };
  const isWider = given.every((label, index) => label === needed[index]);
  if ((action === "search" || action === "list_namespaces") && isWider) return { namespace: needed };
  throw new HeddleError("FORBIDDEN", { message: `Namespaces of this caller begin with ${JSON.stringify(needed)}` });
}
