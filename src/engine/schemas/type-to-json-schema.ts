import type ts from "typescript";
import type { TypeScript } from "../loading/find-typescript.js";
import { MESSAGE_DEFINITION, MESSAGE_DEFINITION_NAME } from "./message-schema.js";

type Schema = Record<string, unknown>;

/** Beyond these a schema is of no use to a form and only slow: what lies deeper becomes `{}`. */
const MAX_DEPTH = 16;
const MAX_NODES = 4000;
const MAX_NAME_LENGTH = 100;

/** Types of JavaScript's own library that have a JSON form. */
const BUILT_INS: Readonly<Record<string, Schema>> = {
  Date: { type: "string", format: "date-time" },
  URL: { type: "string", format: "uri" },
  RegExp: { type: "object" },
  Map: { type: "object" },
  Set: { type: "object" },
  Uint8Array: { type: "object" },
  Buffer: { type: "object" },
  Error: { type: "object" },
};

/**
 * Turns types of a program into JSON Schema (draft 7): objects, arrays, tuples, unions, literals, enums, records, dates;
 * named and recursive types as definitions; LangChain's messages as one short definition. Functions and symbols have no
 * JSON form and are left out.
 */
export class TypeToJsonSchema {
  readonly #ts: TypeScript;
  readonly #checker: ts.TypeChecker;
  readonly #definitions = new Map<string, Schema>();
  readonly #names = new Map<ts.Type, string>();
  #nodes = 0;

  constructor(compiler: TypeScript, checker: ts.TypeChecker) {
    this.#ts = compiler;
    this.#checker = checker;
  }

  /** A schema that stands alone; `null` for `any`, `unknown`, `never` and what has no JSON form. */
  convert(type: ts.Type): Schema | null {
    const { Any, Unknown, Never } = this.#ts.TypeFlags;
    if ((type.flags & (Any | Unknown | Never)) !== 0) return null;
    this.#definitions.clear();
    this.#names.clear();
    this.#nodes = 0;
    const root = this.#isObject(type) ? this.#object(type, 0) : this.#schema(type, 0);
    if (root === null) return null;
    const definitions = Object.fromEntries(this.#definitions);
    const extra = this.#definitions.size === 0 ? {} : { definitions };
    return { $schema: "http://json-schema.org/draft-07/schema#", ...root, ...extra };
  }

  #schema(type: ts.Type, depth: number): Schema | null {
    const { TypeFlags } = this.#ts;
    const { flags } = type;
    this.#nodes += 1;
    if (depth > MAX_DEPTH || this.#nodes > MAX_NODES) return {};
    if ((flags & (TypeFlags.Any | TypeFlags.Unknown)) !== 0) return {};
    if ((flags & TypeFlags.ESSymbolLike) !== 0 || (flags & (TypeFlags.Undefined | TypeFlags.Void)) !== 0) return null;
    if ((flags & TypeFlags.Never) !== 0) return null;
    if ((flags & TypeFlags.Null) !== 0) return { type: "null" };
    if ((flags & TypeFlags.Boolean) !== 0) return { type: "boolean" };
    if ((flags & TypeFlags.BooleanLiteral) !== 0)
      return { type: "boolean", const: this.#checker.typeToString(type) === "true" };
    if (type.isStringLiteral()) return { type: "string", const: type.value };
    if (type.isNumberLiteral()) return { type: "number", const: type.value };
    if ((flags & TypeFlags.StringLike) !== 0) return { type: "string" };
    if ((flags & TypeFlags.BigIntLike) !== 0) return { type: "integer" };
    if ((flags & TypeFlags.NumberLike) !== 0 && !type.isUnion()) return { type: "number" };
    if (type.isUnion()) return this.#union(type, depth);
    if (type.isIntersection()) return this.#intersection(type, depth);
    if (this.#isObject(type)) return this.#named(type, depth);
    const constraint = this.#checker.getBaseConstraintOfType(type);
    return constraint === undefined || constraint === type ? {} : this.#schema(constraint, depth + 1);
  }

  #union(type: ts.UnionType, depth: number): Schema | null {
    const members: Schema[] = [];
    const seen = new Set<string>();
    const literals: unknown[] = [];
    for (const member of this.#withoutShorthands(type.types)) {
      const schema = this.#schema(member, depth + 1);
      if (schema === null) continue;
      if ("const" in schema) literals.push(schema["const"]);
      else if (!seen.has(JSON.stringify(schema))) {
        seen.add(JSON.stringify(schema));
        members.push(schema);
      }
    }
    if (literals.length > 0) members.push(literalsSchema(literals));
    if (members.some((member) => Object.keys(member).length === 0)) return {};
    const [first] = members;
    if (first === undefined) return null;
    return members.length === 1 ? first : { anyOf: members };
  }

  /**
   * The members that a reader wants to see: not LangGraph's `OverwriteValue`, which every update of a reduced channel
   * allows, and of LangChain's `BaseMessageLike` the message alone, not its dozens of shorthands.
   */
  #withoutShorthands(members: readonly ts.Type[]): readonly ts.Type[] {
    const updates = members.filter((member) => !this.#isOverwrite(member));
    const isMessageLike =
      updates.some((member) => this.#isMessage(member)) &&
      updates.some((member) => this.#checker.isTupleType(member)) &&
      updates.some((member) => (member.flags & this.#ts.TypeFlags.String) !== 0);
    if (!isMessageLike) return updates;
    return updates.filter((member) => this.#isMessage(member) || this.#checker.isArrayType(member));
  }

  /** `string & {brand}` is a string; anything else has the properties of all its parts. */
  #intersection(type: ts.IntersectionType, depth: number): Schema | null {
    const { StringLike, NumberLike, BooleanLike, BigIntLike } = this.#ts.TypeFlags;
    const primitives = StringLike | NumberLike | BooleanLike | BigIntLike;
    const primitive = type.types.find((part) => (part.flags & primitives) !== 0);
    return primitive === undefined ? this.#named(type, depth) : this.#schema(primitive, depth);
  }

  /** An object type: by reference when it has a name, so that it may contain itself. */
  #named(type: ts.Type, depth: number): Schema | null {
    const special = this.#special(type, depth);
    if (special !== undefined) return special;
    const known = this.#names.get(type);
    if (known !== undefined) return { $ref: `#/definitions/${known}` };
    const symbol = type.aliasSymbol ?? type.getSymbol();
    const isAnonymous = symbol === undefined || symbol.name === "__type" || symbol.name === "__object";
    // `Record<…>`, `Partial<…>`: nobody looks for them by name.
    if (isAnonymous || this.#isOfLibrary(symbol)) return this.#object(type, depth);
    const name = this.#uniqueName(type, symbol.name);
    this.#names.set(type, name);
    this.#definitions.set(name, {});
    const schema = this.#object(type, depth);
    this.#definitions.set(name, schema ?? {});
    return { $ref: `#/definitions/${name}` };
  }

  /** What is no plain object: functions, arrays, tuples, messages, built-ins. `undefined` for plain objects. */
  #special(type: ts.Type, depth: number): Schema | null | undefined {
    const checker = this.#checker;
    if (this.#isMessage(type)) {
      this.#definitions.set(MESSAGE_DEFINITION_NAME, MESSAGE_DEFINITION);
      return { $ref: `#/definitions/${MESSAGE_DEFINITION_NAME}` };
    }
    if (checker.isTupleType(type)) {
      const items = checker
        .getTypeArguments(type as ts.TypeReference)
        .map((item) => this.#schema(item, depth + 1) ?? {});
      return { type: "array", items };
    }
    if (checker.isArrayType(type)) {
      const [item] = checker.getTypeArguments(type as ts.TypeReference);
      return { type: "array", items: (item && this.#schema(item, depth + 1)) ?? {} };
    }
    if (type.getCallSignatures().length > 0 || type.getConstructSignatures().length > 0) return null;
    const symbol = type.getSymbol();
    const builtIn = symbol === undefined || !this.#isOfLibrary(symbol) ? undefined : BUILT_INS[symbol.name];
    return builtIn === undefined ? undefined : { ...builtIn };
  }

  #object(type: ts.Type, depth: number): Schema | null {
    const special = depth === 0 ? this.#special(type, depth) : undefined;
    if (special !== undefined) return special;
    const properties: Record<string, Schema> = {};
    const required: string[] = [];
    for (const property of this.#checker.getPropertiesOfType(type)) {
      if (property.name.startsWith("__@") || this.#isPrivate(property)) continue;
      const schema = this.#schema(this.#checker.getTypeOfSymbol(property), depth + 1);
      if (schema === null) continue;
      const description = this.#ts.displayPartsToString(property.getDocumentationComment(this.#checker)).trim();
      properties[property.name] = {
        ...schema,
        ...(holdsMessages(schema) && { langgraph_type: "messages" }),
        ...(description !== "" && { description }),
      };
      if ((property.flags & this.#ts.SymbolFlags.Optional) === 0) required.push(property.name);
    }
    const index = type.getStringIndexType();
    const rest = index === undefined ? null : this.#schema(index, depth + 1);
    return {
      type: "object",
      ...((index === undefined || Object.keys(properties).length > 0) && { properties }),
      ...(required.length > 0 && { required }),
      ...(rest !== null && (Object.keys(rest).length > 0 || required.length === 0) && { additionalProperties: rest }),
    };
  }

  #isObject(type: ts.Type): boolean {
    return (type.flags & (this.#ts.TypeFlags.Object | this.#ts.TypeFlags.Intersection)) !== 0;
  }

  /** `BaseMessage` of @langchain/core, or a class that extends it. */
  #isMessage(type: ts.Type): boolean {
    const symbol = type.getSymbol();
    if (symbol === undefined) return false;
    const ofCore =
      symbol.declarations?.some((one) => /@langchain[\\/]core[\\/]/.test(one.getSourceFile().fileName)) ?? false;
    if (ofCore && /Message(Chunk)?$/.test(symbol.name) && type.getProperty("lc_namespace") !== undefined) return true;
    return type.isClass() && (this.#checker.getBaseTypes(type).some((parent) => this.#isMessage(parent)) ?? false);
  }

  #isOverwrite(type: ts.Type): boolean {
    return (
      (type.aliasSymbol ?? type.getSymbol())?.name === "OverwriteValue" ||
      type.getProperty("__overwrite__") !== undefined
    );
  }

  #isOfLibrary(symbol: ts.Symbol): boolean {
    return (symbol.declarations ?? []).some((one) =>
      /[\\/](typescript[\\/]lib[\\/]lib\.|@types[\\/]node[\\/])/.test(one.getSourceFile().fileName),
    );
  }

  #isPrivate(property: ts.Symbol): boolean {
    const { Private, Protected } = this.#ts.ModifierFlags;
    return (property.declarations ?? []).some(
      (one) => (this.#ts.getCombinedModifierFlags(one) & (Private | Protected)) !== 0,
    );
  }

  #uniqueName(type: ts.Type, symbolName: string): string {
    const full = this.#checker
      .typeToString(
        type,
        undefined,
        this.#ts.TypeFormatFlags.NoTruncation | this.#ts.TypeFormatFlags.UseFullyQualifiedType,
      )
      .replaceAll(/import\("[^"]*"\)\./g, "")
      .replaceAll(" ", "");
    const name = full.length > MAX_NAME_LENGTH || /[{}]/.test(full) ? symbolName : full;
    for (let count = 1; ; count += 1) {
      const candidate = count === 1 ? name : `${name}_${String(count)}`;
      if (!this.#definitions.has(candidate)) return candidate;
    }
  }
}

function literalsSchema(literals: readonly unknown[]): Schema {
  const booleans = literals.filter((value) => typeof value === "boolean");
  if (booleans.length === 2 && literals.length === 2) return { type: "boolean" };
  const types = [...new Set(literals.map((value) => typeof value))];
  const type = types.length === 1 ? { type: types[0] } : {};
  return literals.length === 1 ? { ...type, const: literals[0] } : { ...type, enum: [...literals] };
}

/** An array of messages, or a union that has one: a chat. */
function holdsMessages(schema: Schema): boolean {
  const isMessage = (value: unknown): boolean =>
    typeof value === "object" &&
    value !== null &&
    "$ref" in value &&
    value.$ref === `#/definitions/${MESSAGE_DEFINITION_NAME}`;
  const options = (value: unknown): readonly unknown[] =>
    typeof value === "object" && value !== null && "anyOf" in value && Array.isArray(value.anyOf)
      ? value.anyOf
      : [value];
  return options(schema).some(
    (option) =>
      typeof option === "object" &&
      option !== null &&
      "items" in option &&
      options(option.items).some((item) => isMessage(item)),
  );
}
