import { isDeepStrictEqual } from "node:util";

/** docs/wire/langgraph-api.md §2.10.4, written down once more. */
export function matchesModelFilter(
  value: Readonly<Record<string, unknown>>,
  filter: Readonly<Record<string, unknown>>,
): boolean {
  return Object.entries(filter).every(([field, condition]) => {
    const stored = value[field];
    const isOperators =
      typeof condition === "object" &&
      condition !== null &&
      !Array.isArray(condition) &&
      Object.keys(condition).every((key) => key.startsWith("$"));
    if (!isOperators) return isDeepStrictEqual(stored, condition);
    return Object.entries(condition).every(([operator, operand]) => holds(operator, stored, operand));
  });
}

function holds(operator: string, stored: unknown, operand: unknown): boolean {
  switch (operator) {
    case "$eq":
      return isDeepStrictEqual(stored, operand);
    case "$ne":
      return !isDeepStrictEqual(stored, operand);
    case "$in":
      return (operand as readonly unknown[]).some((one) => isDeepStrictEqual(stored, one));
    case "$nin":
      return !(operand as readonly unknown[]).some((one) => isDeepStrictEqual(stored, one));
    case "$gt":
      return numeric(stored) > numeric(operand);
    case "$gte":
      return numeric(stored) >= numeric(operand);
    case "$lt":
      return numeric(stored) < numeric(operand);
    case "$lte":
      return numeric(stored) <= numeric(operand);
    default:
      throw new Error(operator);
  }
}

function numeric(value: unknown): number {
  if (typeof value === "number") return value;
  return typeof value === "string" && value.trim() !== "" ? Number(value) : Number.NaN;
}
