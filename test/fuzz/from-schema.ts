import fc from "fast-check";
import { hostileJson, hostileString } from "./hostile-values.js";
import type { Operation, Schema, Target } from "./target.js";

const DEPTH = 4;

/** Values that a schema allows, some of whose parts it does not: they get past the decoder more often than chance does. */
export function fromSchema(target: Target, schema: Schema, name = "", depth = 0): fc.Arbitrary<unknown> {
  const wrong = { weight: 1, arbitrary: hostileJson };
  if (depth > DEPTH) return hostileJson;
  return fc.oneof({ weight: 5, arbitrary: allowed(target, schema, name, depth) }, wrong);
}

function allowed(target: Target, schema: Schema, name: string, depth: number): fc.Arbitrary<unknown> {
  const { $ref: ref, enum: values, type } = schema;
  if (typeof ref === "string") {
    const found = target.schemas[ref.split("/").at(-1) ?? ""];
    if (found === undefined) throw new Error(`/openapi.json has no ${ref}`);
    return fromSchema(target, found, name, depth + 1);
  }
  if ("const" in schema) return fc.constant(schema["const"]);
  if (Array.isArray(values)) return fc.constantFrom(...(values as readonly unknown[]));
  const choices = schema["anyOf"] ?? schema["oneOf"];
  if (Array.isArray(choices)) {
    return fc.oneof(...(choices as readonly Schema[]).map((choice) => fromSchema(target, choice, name, depth)));
  }
  const ids = target.ids[name];
  switch (type) {
    case "object":
      return objectOf(target, schema, depth);
    case "array":
      return fc.array(fromSchema(target, (schema["items"] ?? {}) as Schema, name, depth + 1), { maxLength: 3 });
    case "string":
      return ids === undefined ? hostileString : fc.oneof(fc.constantFrom(...ids), hostileString, fc.uuid());
    case "integer":
    case "number":
      return fc.oneof(fc.nat(20), fc.integer());
    case "boolean":
      return fc.boolean();
    case "null":
      return fc.constant(null);
    default:
      return hostileJson;
  }
}

function objectOf(target: Target, schema: Schema, depth: number): fc.Arbitrary<unknown> {
  const properties = Object.entries((schema["properties"] ?? {}) as Readonly<Record<string, Schema>>);
  const required = (schema["required"] ?? []) as readonly string[];
  const members = properties.map(([name, member]) =>
    fc
      .tuple(fromSchema(target, member, name, depth + 1), fc.nat(9))
      .map(([value, dice]) => (dice < (required.includes(name) ? 9 : 3) ? [[name, value] as const] : [])),
  );
  const extra = fc.array(fc.tuple(hostileString, hostileJson), { maxLength: properties.length === 0 ? 4 : 1 });
  return fc
    .tuple(fc.tuple(...members), extra)
    .map(([known, unknown]) => Object.fromEntries([...known.flat(), ...unknown]));
}

/** Characters that a request line can hold, whatever was there. */
const encoded = (text: string): string => encodeURIComponent(text.toWellFormed());

/** A path of an operation: mostly of things that there are. */
export function pathOf(target: Target, { path }: Operation): fc.Arbitrary<string> {
  const parts = path.split(/\{(\w+)\}/);
  const filled = parts.map((part, index) => {
    if (index % 2 === 0) return fc.constant(part);
    const ids = target.ids[part] ?? ["x"];
    return fc.oneof(
      { weight: 8, arbitrary: fc.constantFrom(...ids) },
      { weight: 1, arbitrary: hostileString.map(encoded) },
      { weight: 1, arbitrary: fc.uuid() },
    );
  });
  return fc.tuple(...filled).map((texts) => texts.join(""));
}

/** A query string: the operation's own names more often than others. */
export function queryOf(target: Target, { query }: Operation): fc.Arbitrary<string> {
  const text = (name: string, schema: Schema) =>
    fc.oneof(
      fromSchema(target, schema, name).map((value) => (typeof value === "string" ? value : JSON.stringify(value))),
      hostileString,
    );
  const known = query.map(({ name, schema }) => text(name, schema).map((value) => [name, value] as const));
  const any = fc.tuple(hostileString, hostileString);
  return fc
    .array(
      known.length === 0 ? any : fc.oneof({ weight: 6, arbitrary: fc.oneof(...known) }, { weight: 1, arbitrary: any }),
      {
        maxLength: 4,
      },
    )
    .map((pairs) => pairs.map(([name, value]) => `${encoded(name)}=${encoded(value)}`).join("&"))
    .map((pairs) => (pairs === "" ? "" : `?${pairs}`));
}
