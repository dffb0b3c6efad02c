import { AIMessage, HumanMessage, type BaseMessage } from "@langchain/core/messages";
import { chainOf, read, type CheckpointerSuite, type WithCheckpointer } from "./fixture.js";

const NASTY = ["nul \u0000 inside", "\ud83d\ude00", "\u2028", "__proto__", "constructor", "a.b", "$eq", '"', "'; --"];

/** What is stored comes back as it was. */
export function valueCases(suite: CheckpointerSuite, withSaver: WithCheckpointer): void {
  const { it, expect } = suite.vitest;

  it(
    "keeps bytes in values and in pending writes",
    withSaver(async ({ saver }) => {
      const bytes = new Uint8Array([0, 255, 128, 10]);
      const chain = chainOf(saver);
      await chain.put({ file: bytes, nested: { list: [bytes] } });
      await saver.putWrites(chain.config(), [["file", bytes]], "task");
      bytes[0] = 9;
      const tuple = await read(saver, chain.config());
      expect(tuple.checkpoint.channel_values["file"]).toStrictEqual(new Uint8Array([0, 255, 128, 10]));
      expect(tuple.checkpoint.channel_values["nested"]).toStrictEqual({ list: [new Uint8Array([0, 255, 128, 10])] });
      expect(tuple.pendingWrites).toStrictEqual([["task", "file", new Uint8Array([0, 255, 128, 10])]]);
    }),
  );

  it(
    "keeps NUL, quotes and awkward names in values, metadata, channels, namespaces and ids",
    withSaver(async ({ saver }) => {
      for (const text of NASTY) {
        const chain = chainOf(saver, `thread ${text}`, `ns:${text}`);
        // `__proto__` as a plain key, which an object literal can't write.
        const value = JSON.parse(JSON.stringify([[text, text]])) as unknown;
        const keyed: unknown = JSON.parse(`{${JSON.stringify(text)}:1}`);
        await chain.put({ [text === "__proto__" ? "proto" : text]: { value, keyed } }, { metadata: { text, keyed } });
        await saver.putWrites(chain.config(), [[text, { value, keyed }]], `task ${text}`, `~path ${text}`);
        const tuple = await read(saver, chain.config());
        expect(tuple.config).toEqual(chain.config());
        expect(Object.values(tuple.checkpoint.channel_values)).toEqual([{ value, keyed }]);
        expect(tuple.metadata).toMatchObject({ text });
        expect(JSON.stringify(tuple.metadata)).toContain(`"keyed":${JSON.stringify(keyed)}`);
        expect(tuple.pendingWrites).toEqual([[`task ${text}`, text, { value, keyed }]]);
        expect(Object.hasOwn(Object.prototype, "value")).toBe(false);
      }
    }),
  );

  it(
    "keeps undefined, null, Maps, Sets and messages",
    withSaver(async ({ saver }) => {
      const messages = [
        new HumanMessage({ id: "1", content: "hi", additional_kwargs: { deep: { list: [1, null] } } }),
        new AIMessage({
          id: "2",
          content: [{ type: "text", text: "x" }],
          tool_calls: [{ name: "t", args: { a: 1 }, id: "c" }],
        }),
      ];
      const values = { none: undefined, zero: null, map: new Map([["k", { v: 1 }]]), set: new Set([1, "a"]), messages };
      const chain = chainOf(saver);
      await chain.put(values);
      await saver.putWrites(chain.config(), [["messages", messages]], "task");
      const { checkpoint, pendingWrites } = await read(saver, chain.config());
      expect(checkpoint.channel_values["map"]).toStrictEqual(values.map);
      expect(checkpoint.channel_values["set"]).toStrictEqual(values.set);
      expect(checkpoint.channel_values["zero"]).toBeNull();
      expect(checkpoint.channel_values["none"]).toBeUndefined();
      for (const loaded of [checkpoint.channel_values["messages"], pendingWrites?.[0]?.[2]]) {
        const list = loaded as BaseMessage[];
        expect(list.map((message) => message.constructor)).toEqual([HumanMessage, AIMessage]);
        expect(list.map((message) => message.toDict())).toEqual(messages.map((message) => message.toDict()));
      }
    }),
  );

  it(
    "is not reached by later changes, nor by changes of what it returned",
    withSaver(async ({ saver }) => {
      const message = new HumanMessage({ id: "1", content: "saved" });
      const state = { list: [1], messages: [message] };
      const chain = chainOf(saver);
      await chain.put(state, { metadata: { tags: ["saved"] } });
      await saver.putWrites(chain.config(), [["messages", state.messages]], "task");
      state.list.push(2);
      message.content = "changed";
      for (let i = 0; i < 2; i += 1) {
        const tuple = await read(saver, chain.config());
        const values = tuple.checkpoint.channel_values as { list: number[]; messages: BaseMessage[] };
        expect(values.list).toEqual([1]);
        expect(values.messages[0]?.content).toBe("saved");
        const [write] = tuple.pendingWrites ?? [];
        expect((write?.[2] as readonly BaseMessage[] | undefined)?.[0]?.content).toBe("saved");
        expect(tuple.metadata).toMatchObject({ tags: ["saved"] });
        values.list.push(3);
        if (values.messages[0] !== undefined) values.messages[0].content = "changed again";
        (tuple.metadata as unknown as { tags: string[] }).tags.push("changed");
        tuple.checkpoint.channel_versions["list"] = 99;
      }
      // A message that was changed in place is saved as it is now, also when it had been saved before.
      await chain.put({ messages: [message] });
      const saved = (await read(saver, chain.config())).checkpoint.channel_values["messages"] as BaseMessage[];
      expect(saved[0]?.content).toBe("changed");
    }),
  );

  it(
    "gives every fork of a checkpoint its own values, although their versions are equal",
    withSaver(async ({ saver }) => {
      const chain = chainOf(saver);
      await chain.put({ list: ["root"], other: "kept" });
      await chain.put({ list: ["left"] }, { parent: 0 });
      await chain.put({ list: ["right"] }, { parent: 0 });
      await chain.put({ other: "new" }, { parent: 1 });
      const values = async (at: number) => (await read(saver, chain.config(at))).checkpoint.channel_values;
      expect(await values(0)).toEqual({ list: ["root"], other: "kept" });
      expect(await values(1)).toEqual({ list: ["left"], other: "kept" });
      expect(await values(2)).toEqual({ list: ["right"], other: "kept" });
      expect(await values(3)).toEqual({ list: ["left"], other: "new" });
    }),
  );

  it(
    "keeps the values of a checkpoint that is copied beside another (update as `__copy__`)",
    withSaver(async ({ saver }) => {
      const chain = chainOf(saver);
      await chain.put({ list: ["root"] });
      await chain.put({ list: ["left"] }, { parent: 0 });
      await chain.put({ list: ["right"] }, { parent: 0 });
      for (const at of [1, 2]) {
        const source = await read(saver, chain.config(at));
        const id = `${source.checkpoint.id.slice(0, -1)}z`;
        const copied = await saver.put(
          chain.config(0),
          { ...source.checkpoint, id },
          source.metadata ?? ({} as never),
          {},
        );
        expect((await read(saver, copied)).checkpoint.channel_values).toEqual(source.checkpoint.channel_values);
      }
    }),
  );

  it(
    "drops a channel that a checkpoint no longer has",
    withSaver(async ({ saver }) => {
      const chain = chainOf(saver);
      await chain.put({ a: 1, b: 2 });
      const { checkpoint, metadata } = await read(saver, chain.config());
      const { b: _gone, ...rest } = checkpoint.channel_values;
      const next = { ...checkpoint, id: `${checkpoint.id}z`, channel_values: rest };
      const saved = await saver.put(chain.config(), next, metadata ?? ({} as never), {});
      expect((await read(saver, saved)).checkpoint.channel_values).toEqual({ a: 1 });
    }),
  );
}
