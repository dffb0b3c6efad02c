import type { AccessCondition, AccessFilter } from "./auth.js";
import type { JsonObject, JsonValue } from "./json.js";
import { isVisible, jsonContains } from "./metadata-filter.js";

/**
 * "This own top-level key has this scalar", as one indexable string: `"key":value`, both in JSON. Stores keep the terms
 * of each row's metadata in an index; a filter made of terms alone is answered by it.
 */
export type Term = string;

/** Longer terms are not indexed: a filter that needs one is decided row by row. */
export const MAX_TERM_LENGTH = 512;

/** A filter, split into what an index answers and what only the row itself can. */
export interface FilterPlan {
  /** Every matching row has all of these. */
  readonly terms: readonly Term[];
  /** Decides rows that have all terms; `null` when the terms say everything. */
  readonly residual: ((metadata: JsonObject) => boolean) | null;
}

/** The terms of a row's metadata, without repetition. */
export function termsOf(metadata: JsonObject): readonly Term[] {
  const terms: Term[] = [];
  for (const key of Object.keys(metadata)) {
    const value = metadata[key];
    if (value === undefined || (typeof value === "object" && value !== null)) continue;
    const term = scalarTerm(key, value);
    if (term !== null) terms.push(term);
  }
  return terms;
}

/** Plan containment and access together, with the meaning that core/metadata-filter gives them. */
export function planFilter(filter: { readonly metadata?: JsonObject; readonly access: AccessFilter }): FilterPlan {
  const terms = new Set<Term>();
  const { metadata, access } = filter;
  const byTermsAlone =
    (metadata === undefined || containmentTerms(metadata, terms)) &&
    (access.kind === "all" || accessTerms(access.where, terms));
  if (byTermsAlone) return { terms: [...terms], residual: null };
  // Terms of the second part may be missing here when the first was not exact; they only narrow.
  if (access.kind === "match") accessTerms(access.where, terms);
  return { terms: [...terms], residual: (row) => jsonContains(row, metadata) && isVisible(access, row) };
}

/** @returns whether the collected terms say all of it */
function containmentTerms(wanted: JsonObject, terms: Set<Term>): boolean {
  let exact = true;
  for (const key of Object.keys(wanted)) {
    const value = wanted[key];
    if (value !== undefined && !addTerm(key, value, terms)) exact = false;
  }
  return exact;
}

/** @returns whether the collected terms say all of it */
function accessTerms(where: AccessCondition, terms: Set<Term>): boolean {
  let exact = true;
  for (const key of Object.keys(where)) {
    const condition = where[key];
    if (condition === undefined) continue;
    if (key === "$or") exact = false;
    else if (key === "$and") {
      const parts = Array.isArray(condition) ? (condition as readonly JsonObject[]) : [];
      for (const part of parts) if (!accessTerms(part, terms)) exact = false;
    } else if (!addTerm(key, equalOperand(condition), terms)) exact = false;
  }
  return exact;
}

function equalOperand(condition: JsonValue): JsonValue | undefined {
  if (typeof condition !== "object" || condition === null || Array.isArray(condition)) return condition;
  const operators = condition as JsonObject;
  return Object.hasOwn(operators, "$eq") ? operators["$eq"] : undefined;
}

function addTerm(key: string, value: JsonValue | undefined, terms: Set<Term>): boolean {
  if (value === undefined || (typeof value === "object" && value !== null)) return false;
  const term = scalarTerm(key, value);
  if (term === null) return false;
  terms.add(term);
  return true;
}

function scalarTerm(key: string, value: string | number | boolean | null): Term | null {
  if (typeof value === "string" && key.length + value.length > MAX_TERM_LENGTH) return null;
  const term = `${JSON.stringify(key)}:${JSON.stringify(value)}`;
  return term.length > MAX_TERM_LENGTH ? null : term;
}
