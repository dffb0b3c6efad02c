import type { ItemFilter } from "../../core/item.js";
import { isJsonObject, type JsonValue } from "../../core/json.js";
import { toJsonb, toText } from "../../databases/postgres/storable.js";

/** @param stored the field's value: each mention has a parameter, and none may go unused */
type Operator = (stored: () => string, operand: JsonValue | undefined, parameter: (value: unknown) => string) => string;

const OPERATORS: Readonly<Record<string, Operator>> = {
  $eq: equal,
  $ne: (stored, operand, parameter) => `NOT ${equal(stored, operand, parameter)}`,
  $gt: compare(">"),
  $gte: compare(">="),
  $lt: compare("<"),
  $lte: compare("<="),
  $in: within,
  $nin: (stored, operand, parameter) => `NOT ${within(stored, operand, parameter)}`,
};

/**
 * An item filter as SQL conditions, with the meaning of core/item-filter `matchesItemFilter`. Operators must be known ones
 * (`checkItemFilter`).
 * @param column an expression of ours
 */
export function itemFilterSql(column: string, filter: ItemFilter, parameters: unknown[]): readonly string[] {
  const parameter = (value: unknown): string => `$${parameters.push(value)}`;
  return Object.keys(filter).flatMap((field) => {
    const condition = filter[field];
    if (condition === undefined) return [];
    const stored = (): string => `(${column} -> ${parameter(toText(field))})`;
    if (!isOperators(condition)) return [equal(stored, condition, parameter)];
    return Object.keys(condition).map(
      (operator) => OPERATORS[operator]?.(stored, condition[operator], parameter) ?? "false",
    );
  });
}

function isOperators(condition: JsonValue): condition is Readonly<Record<string, JsonValue | undefined>> {
  return isJsonObject(condition) && Object.keys(condition).every((key) => Object.hasOwn(OPERATORS, key));
}

function equal(stored: () => string, operand: JsonValue | undefined, parameter: (value: unknown) => string): string {
  if (operand === undefined) return `(${stored()} IS NULL)`;
  return `coalesce(${stored()} = ${parameter(toJsonb(operand))}::jsonb, false)`;
}

function within(stored: () => string, operand: JsonValue | undefined, parameter: (value: unknown) => string): string {
  if (!Array.isArray(operand)) return "false";
  const elements = (operand as readonly JsonValue[]).map((element) => toJsonb(element));
  return `coalesce(${stored()} = ANY (${parameter(elements)}::jsonb[]), false)`;
}

function compare(operator: ">" | ">=" | "<" | "<="): Operator {
  return (stored, operand, parameter) => {
    const bound = numeric(operand);
    if (Number.isNaN(bound)) return "false";
    return `coalesce(heddle_number(${stored()}) ${operator} ${parameter(String(bound))}::float8, false)`;
  };
}

function numeric(value: JsonValue | undefined): number {
  if (typeof value === "number") return value;
  return typeof value === "string" && value.trim() !== "" ? Number(value) : Number.NaN;
}
