import fc from "fast-check";
import {
  AIMessage,
  AIMessageChunk,
  ChatMessage,
  FunctionMessage,
  HumanMessage,
  RemoveMessage,
  SystemMessage,
  ToolMessage,
  type AIMessageFields,
  type BaseMessage,
} from "@langchain/core/messages";
import { Command, Send } from "@langchain/langgraph";
import { describe, expect, it } from "vitest";
import { serialize } from "../../src/engine/streams/serialize.js";

/** The reference: JSON.stringify, with LangChain's own `toDict()` flattened. */
function reference(value: unknown): unknown {
  const text = JSON.stringify(value, function replace(this: Record<string, unknown>, key: string, current: unknown) {
    const raw = this[key] as { toDict?: () => { type: string; data: object } } | null | undefined;
    if (typeof raw === "object" && raw !== null && typeof raw.toDict === "function") {
      const { type, data } = raw.toDict();
      return { ...data, type };
    }
    return current;
  });
  return text === undefined ? null : JSON.parse(text);
}

// `lc` is LangChain's own escape; `toDict` wraps such objects, the wire does not. `__proto__` has a test of its own.
const key = fc
  .string({ unit: "grapheme", maxLength: 8 })
  .filter((text) => !["lc", "__proto__", "toJSON", "toDict"].includes(text));
const text = fc.string({ unit: "grapheme" }).filter((value) => !value.includes("\u0000"));
const { json } = fc.letrec<{ json: unknown }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    text,
    fc.double(),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.constant(undefined),
    fc.array(tie("json"), { maxLength: 4 }),
    fc.dictionary(
      key.filter((name) => !name.includes("\u0000")),
      tie("json"),
      { maxKeys: 4 },
    ),
  ),
}));
const record = fc.dictionary(
  key.filter((name) => !name.includes("\u0000")),
  json,
  { maxKeys: 3 },
);
const content = fc.oneof(text, fc.array(fc.record({ type: fc.constant("text"), text }), { maxLength: 3 }));
const id = fc.option(fc.uuid(), { nil: undefined });
const toolCall = fc.record({ name: text, args: record, id: fc.uuid(), type: fc.constant("tool_call" as const) });

const message: fc.Arbitrary<BaseMessage> = fc.oneof(
  fc
    .tuple(content, id, record)
    .map(([c, i, k]) => new HumanMessage({ content: c, ...(i && { id: i }), additional_kwargs: k })),
  content.map((c) => new SystemMessage({ content: c })),
  fc.tuple(content, id, fc.array(toolCall, { maxLength: 2 })).map(
    ([c, i, calls]) =>
      new AIMessage({
        content: c as string,
        ...(i && { id: i }),
        tool_calls: calls,
        usage_metadata: { input_tokens: 1, output_tokens: 2, total_tokens: 3 },
      } as AIMessageFields),
  ),
  fc.tuple(text, text).map(
    ([c, args]) =>
      new AIMessageChunk({
        content: c,
        tool_call_chunks: [{ name: "t", args, index: 0, type: "tool_call_chunk" as const }],
      }),
  ),
  fc
    .tuple(text, json)
    .map(
      ([c, artifact]) => new ToolMessage({ content: c, tool_call_id: "call", name: "t", status: "success", artifact }),
    ),
  fc.tuple(text, text).map(([c, role]) => new ChatMessage({ content: c, role })),
  text.map((c) => new FunctionMessage({ content: c, name: "f" })),
  fc.uuid().map((i) => new RemoveMessage({ id: i })),
);

const payload = fc.letrec<{ payload: unknown }>((tie) => ({
  payload: fc.oneof(
    { maxDepth: 3 },
    message,
    json,
    fc.array(tie("payload"), { maxLength: 4 }),
    fc.dictionary(
      key.filter((name) => !name.includes("\u0000")),
      tie("payload"),
      { maxKeys: 4 },
    ),
  ),
})).payload;

describe("serialize", () => {
  it("equals JSON.stringify with flattened messages", () => {
    fc.assert(
      fc.property(payload, (value) => {
        const written = serialize(value);
        expect(JSON.parse(written)).toEqual(reference(value));
        expect(written).not.toContain("\n");
      }),
      { numRuns: 1000 },
    );
  });

  it("is byte for byte the same for messages, in LangChain's order of keys", () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 3 }), (messages) => {
        expect(serialize(messages)).toBe(JSON.stringify(reference(messages)));
      }),
      { numRuns: 300 },
    );
  });

  it("never throws and gives one line of JSON, whatever it gets", () => {
    fc.assert(
      fc.property(
        fc.anything({
          withBigInt: true,
          withDate: true,
          withMap: true,
          withSet: true,
          withTypedArray: true,
          withSparseArray: true,
          withNullPrototype: true,
          withBoxedValues: true,
        }),
        (value) => {
          const written = serialize(value);
          expect(() => JSON.parse(written) as unknown).not.toThrow();
          expect(written).not.toContain("\n");
          expect(written).not.toMatch(/\\u0000/);
        },
      ),
      { numRuns: 1000 },
    );
  });

  const circular: Record<string, unknown> = { a: 1n, list: [] };
  circular["self"] = circular;
  (circular["list"] as unknown[]).push(circular, new Map([["k", circular]]));
  const shared = { s: 1 };
  const deep = Array.from({ length: 3_000 }).reduce<unknown>((inner) => [inner], "bottom");

  it.each([
    ["undefined", undefined, "null"],
    ["functions and symbols", { a: () => 1, b: Symbol("s"), c: [() => 1] }, '{"c":[null]}'],
    ["not a number", [Number.NaN, Infinity], "[null,null]"],
    ["a bigint", [12n, 2n ** 70n], '[12,"1180591620717411303424"]'],
    ["a date", [new Date(0), new Date(Number.NaN)], '["1970-01-01T00:00:00.000Z",null]'],
    ["maps", [new Map([["a", 1]]), new Map([[1, "a"]])], '[{"a":1},[[1,"a"]]]'],
    ["a set", new Set([1, "b"]), '[1,"b"]'],
    ["bytes", [new Uint8Array([1, 2, 255]), Buffer.from("hi"), new Uint8Array([7]).buffer], '["AQL/","aGk=","Bw=="]'],
    ["an error", new RangeError("far"), '{"name":"RangeError","message":"far"}'],
    ["a regular expression", /a+/g, '"/a+/g"'],
    ["NUL", { "k\u0000": "v\u0000w" }, '{"k\uFFFD":"v\uFFFDw"}'],
    ["an escaped backslash before u0000", "\\u0000", String.raw`"\\u0000"`],
    ["a lone surrogate", "a\ud800b", '"a\uFFFDb"'],
    ["other control characters", "\u0001\n", String.raw`"\u0001\n"`],
    ["own __proto__", JSON.parse('{"__proto__":{"a":1},"m":1}'), '{"__proto__":{"a":1},"m":1}'],
    ["the same object twice", [shared, shared], '[{"s":1},{"s":1}]'],
    ["a cycle", circular, '{"a":1,"list":["[Circular]",{"k":"[Circular]"}],"self":"[Circular]"}'],
    ["a Send", new Send("n", { a: 1 }), '{"lg_name":"Send","node":"n","args":{"a":1}}'],
    [
      "a Command",
      new Command({ update: { a: new HumanMessage({ content: "x", id: "1" }) } }),
      '{"lg_name":"Command","update":{"a":{"content":"x","id":"1","additional_kwargs":{},"response_metadata":{},"type":"human"}},"goto":[]}',
    ],
    ["boxed values", [Object("s"), Object(1), Object(true)], '["s",1,true]'],
    [
      "what toJSON throws",
      {
        toJSON() {
          throw new Error("no");
        },
      },
      '"[Unserializable: no]"',
    ],
  ])("%s", (_name, value, expected) => {
    expect(serialize(value)).toBe(expected);
  });

  it("a getter that throws spoils its own field only", () => {
    const value = {
      a: 1,
      get b(): never {
        throw new Error("no");
      },
      m: new HumanMessage({ content: "x", id: "1" }),
    };
    expect(JSON.parse(serialize(value))).toMatchObject({ a: 1, b: "[Unserializable: no]", m: { type: "human" } });
  });

  it("cuts off what nests too deeply", () => {
    expect(serialize(deep)).toContain("[Truncated: nested too deeply]");
  });

  it("a bigint or a message beside __proto__ changes no prototype", () => {
    const value: unknown = Object.defineProperty({}, "__proto__", { value: { big: 1n }, enumerable: true });
    expect(serialize(value)).toBe('{"__proto__":{"big":1}}');
  });

  it("flattens messages of classes of one's own through their toDict", () => {
    class Special extends HumanMessage {
      override toDict() {
        return { type: "special", data: { content: "own" } as never };
      }
    }
    expect(serialize([new Special("x")])).toBe('[{"content":"own","type":"special"}]');
    class Plain extends AIMessage {}
    const plain = new Plain({ content: "x", id: "1" });
    expect(serialize(plain)).toBe(JSON.stringify(reference([plain])).slice(1, -1));
  });

  it("snake-cases keys where LangChain does", () => {
    const odd = new HumanMessage({ content: "x", id: "1", camelCase: 1 } as never);
    expect(JSON.parse(serialize(odd))).toEqual(reference(odd));
  });
});
