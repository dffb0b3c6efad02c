import { Document } from "@langchain/core/documents";
import {
  AIMessage,
  AIMessageChunk,
  HumanMessage,
  RemoveMessage,
  SystemMessage,
  ToolMessage,
  type BaseMessage,
} from "@langchain/core/messages";
import { ChatPromptTemplate } from "@langchain/core/prompts";
import { Command, Send } from "@langchain/langgraph";
import { DeltaSnapshot, JsonPlusSerializer } from "@langchain/langgraph-checkpoint";
import fc from "fast-check";
import { isDeepStrictEqual } from "node:util";
import { describe, expect, it } from "vitest";
import { CheckpointSerde, joinTexts, splitTexts } from "../../../src/checkpointers/serde.js";

const stock = new JsonPlusSerializer();
const serde = new CheckpointSerde();
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

const key = fc.oneof(
  fc.string({ maxLength: 8 }).filter((s) => s !== "__proto__"), // the stock serializer loses it

  fc.constantFrom("lc", "lc_x", "fooBar", "foo_bar", "type", "id", "constructor", "__lc_escaped__", "a.b", "$eq"),
);
const scalar = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.double(),
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
  fc.constant(undefined),
  fc.constantFrom("\u0000", "\ud800", "𝒳", '"', "\\", "\u2028", "\n"),
);
const tree = fc.letrec<{ value: unknown; record: Record<string, unknown> }>((tie) => ({
  value: fc.oneof({ maxDepth: 4 }, scalar, fc.array(tie("value"), { maxLength: 4 }), tie("record")),
  record: fc.dictionary(key, tie("value"), { maxKeys: 4, noNullPrototype: true }),
}));
const content = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.array(fc.record({ type: fc.constant("text"), text: fc.string() }), { maxLength: 3 }),
);
const toolCall = fc.record({ name: fc.string(), args: tree.record, id: fc.option(fc.uuid(), { nil: undefined }) });
const shared = {
  content,
  id: fc.option(fc.uuid(), { nil: undefined }),
  name: fc.option(fc.string(), { nil: undefined }),
};
const message: fc.Arbitrary<BaseMessage> = fc.oneof(
  fc
    .record({ ...shared, additional_kwargs: tree.record }, { requiredKeys: ["content"], noNullPrototype: true })
    .map((f) => new HumanMessage(f as never)),
  fc.string().map((s) => new HumanMessage(s)),
  fc.record(shared, { noNullPrototype: true }).map((f) => new SystemMessage(f as never)),
  fc
    .record(
      { ...shared, tool_calls: fc.array(toolCall, { maxLength: 2 }), response_metadata: tree.record },
      { noNullPrototype: true },
    )
    .map((f) => new AIMessage(f as never)),
  fc
    .record({ ...shared, tool_calls: fc.array(toolCall, { maxLength: 2 }) }, { noNullPrototype: true })
    .map((f) => new AIMessageChunk(f as never)),
  fc
    .record(
      { content, tool_call_id: fc.uuid(), artifact: tree.value, status: fc.constantFrom("success", "error") },
      { noNullPrototype: true },
    )
    .map((f) => new ToolMessage(f as never)),
  fc.uuid().map((id) => new RemoveMessage({ id })),
);
const special = fc.oneof(
  fc.uniqueArray(scalar).map((list) => new Set(list)),
  fc.array(fc.tuple(fc.string(), tree.value), { maxLength: 3 }).map((pairs) => new Map(pairs)),
  fc.string().map((s) => new Error(s)),
  fc.constant(/a+b/giu),
  fc.uint8Array({ maxLength: 8 }),
  tree.value.map((value) => new DeltaSnapshot(value)),
  tree.value.map((args) => new Send("node", args)),
  fc.date({ noInvalidDate: false }),
  fc.constant(new Document({ pageContent: "p", metadata: { a: 1 } })),
  fc.constant(new Command({ update: { a: 1 }, goto: "n" })),
  fc.constant(() => 1),
  fc.constant(Symbol("s")),
  fc.constant(Object(5)),
  fc.constant({ toJSON: () => ({ replaced: undefined }) }),
);
const state = fc.oneof(
  tree.value,
  fc.array(message, { maxLength: 4 }),
  fc.dictionary(key, fc.oneof(tree.value, message, special), { maxKeys: 4 }),
  fc.array(fc.oneof(special, message, tree.value), { maxLength: 4 }),
);

describe("CheckpointSerde", () => {
  it("writes the bytes of JsonPlusSerializer", async () => {
    await fc.assert(
      fc.asyncProperty(state, async (value) => {
        const [type, bytes] = await stock.dumpsTyped(value);
        const [ownType, ownBytes] = await serde.dumpsTyped(value);
        expect([ownType, text(ownBytes)]).toEqual([type, text(bytes)]);
        const [, again] = await serde.dumpsTyped(value); // served from memory the second time
        expect(text(again)).toBe(text(bytes));
      }),
      { numRuns: 2000 },
    );
  });

  it("reads what JsonPlusSerializer wrote as that serializer reads it", async () => {
    await fc.assert(
      fc.asyncProperty(state, async (value) => {
        const [type, bytes] = await stock.dumpsTyped(value);
        const expected = await outcome(() => stock.loadsTyped(type, bytes));
        const found = await outcome(() => serde.loadsTyped(type, bytes));
        expect(isDeepStrictEqual(found, expected), JSON.stringify(value)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  it("encodes and decodes message lists element by element", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 5 }), async (list) => {
        const encoded = serde.encode(list);
        if (typeof encoded === "string" || encoded instanceof Uint8Array) throw new TypeError("expected texts");
        expect(splitTexts(joinTexts(encoded))).toEqual(encoded);
        expect(JSON.parse(joinTexts(encoded))).toEqual(JSON.parse(text((await stock.dumpsTyped(list))[1])));
        const stockLoads = async (value: unknown) => stock.loadsTyped(...(await stock.dumpsTyped(value)));
        const expected = await outcome(() => stockLoads(list));
        expect(isDeepStrictEqual(await outcome(async () => serde.decode(encoded)), expected)).toBe(true);
        if (expected === "refused") return;
        const loaded = await serde.decode(encoded);
        const reread = await serde.decode(serde.encode(loaded));
        const stockReread = await stockLoads(loaded);
        expect(isDeepStrictEqual(reread, stockReread), JSON.stringify([reread, stockReread, encoded])).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });
});

/** A value or that there was none: both serializers refuse the same inputs. */
async function outcome(load: () => Promise<unknown>): Promise<unknown> {
  try {
    return { value: await load() };
  } catch {
    return "refused";
  }
}

describe("CheckpointSerde on changed and odd values", () => {
  it("sees every change of a message that it has written before", async () => {
    const changes: ((m: AIMessage) => void)[] = [
      (m) => (m.content = "other"),
      (m) => (m.id = "other"),
      (m) => (m.additional_kwargs["x"] = 1),
      (m) => (m.response_metadata = { a: 1 }),
      (m) => m.tool_calls?.push({ name: "t", args: {}, id: "1" }),
      (m) => (m.tool_calls![0]!.args["city"] = "Rome"),
      (m) => delete (m.lc_kwargs as Record<string, unknown>)["id"],
      (m) => ((m.lc_kwargs as Record<string, unknown>)["extra"] = [undefined]),
      (m) => Object.assign(m, { usage_metadata: { input_tokens: 1, output_tokens: 1, total_tokens: 2 } }),
    ];
    for (const change of changes) {
      const fields = {
        content: "hi",
        id: "1",
        additional_kwargs: {},
        tool_calls: [{ name: "w", args: { city: "Oslo" }, id: "c" }],
      };
      for (const fresh of [
        new AIMessage(fields),
        (await serde.decode(serde.encode([new AIMessage(fields)]))) as AIMessage[],
      ].flat()) {
        serde.encode([fresh]);
        change(fresh);
        expect(serde.encodeText(fresh)).toBe(text((await stock.dumpsTyped(fresh))[1]));
      }
    }
  });

  it("gives the same string for an unchanged message", () => {
    const [first] = serde.encode([new HumanMessage({ content: "x".repeat(100), id: "1" })]) as readonly string[];
    const loaded = serde.decode([first!]) as HumanMessage[];
    expect(serde.encode(loaded)).toEqual([first]);
  });

  it("leaves cycles, BigInt and deep values to the stock serializer, and returns quickly", async () => {
    const cyclic: Record<string, unknown> = { a: 1 };
    cyclic["self"] = cyclic;
    cyclic["again"] = [cyclic, { cyclic }];
    let deep: unknown = null;
    for (let i = 0; i < 1000; i++) deep = { deep };
    for (const value of [cyclic, [cyclic], { n: 1n }, deep, [new HumanMessage("x"), cyclic]]) {
      expect(serde.encode(value)).toBe(text((await stock.dumpsTyped(value))[1]));
    }
  });

  it("keeps LangChain objects other than messages", async () => {
    const prompt = ChatPromptTemplate.fromTemplate("Hello {name}");
    const loaded = (await serde.decode(serde.encode({ prompt, m: [new HumanMessage("x")] }))) as { prompt: unknown };
    expect(loaded.prompt).toBeInstanceOf(ChatPromptTemplate);
  });

  it("keeps nested Buffers as bytes and `__proto__` as a key", () => {
    const loaded = serde.decode(
      serde.encode({ file: Buffer.from([1, 2]), other: JSON.parse('{"__proto__":{"x":1}}') }),
    );
    const { file, other } = loaded as { file: unknown; other: object };
    expect(file).toStrictEqual(new Uint8Array([1, 2]));
    expect(Object.keys(other)).toEqual(["__proto__"]);
    expect(Object.getPrototypeOf(other)).toBe(Object.prototype);
  });
});
