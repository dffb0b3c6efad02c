import { MessageAssembler } from "@langchain/langgraph-sdk";
import fc from "fast-check";
import { expect, it } from "vitest";
import type { Block } from "../../../src/engine/thread-events/content-blocks.js";
import { OpenMessage } from "../../../src/engine/thread-events/open-message.js";

type Data = Readonly<Record<string, unknown>>;

function play(blocks: readonly Block[]): readonly Data[] {
  const events: Data[] = [];
  const message = new OpenMessage({
    event: (data) => void events.push(data),
    text: (index, kind, text) =>
      void events.push({ event: "content-block-delta", index, delta: { type: `${kind}-delta`, [kind]: text } }),
  });
  message.start({ id: "m", role: "ai" });
  for (const block of blocks) message.add(block);
  message.finish({});
  return events;
}

/** Calls 0 and 1, texts 2 and 3, reasoning 4, in slices that come in any order. */
const slice = fc.tuple(fc.integer({ min: 0, max: 4 }), fc.string({ maxLength: 3 })).map(([index, text]): Block => {
  if (index < 2) return { type: "tool_call_chunk", id: `c${index}`, name: `n${index}`, args: text, index };
  return index < 4 ? { type: "text", text, index } : { type: "reasoning", reasoning: text, index };
});

it("blocks never interleave, and add up to what the model said, for a client that follows the deltas", () => {
  fc.assert(
    fc.property(fc.array(slice, { maxLength: 12 }), (slices) => {
      const events = play(slices);
      let open: unknown = null;
      const assembler = new MessageAssembler();
      let blocks: readonly Record<string, unknown>[] = [];
      for (const data of events) {
        const { event, index } = data;
        const isBlock = String(event).startsWith("content-block");
        expect(isBlock && event !== "content-block-start" ? index : null).toBe(isBlock ? open : null);
        if (isBlock) open = event === "content-block-finish" ? null : index;
        const params = { namespace: [], timestamp: 0, data };
        const update = assembler.consume({ type: "event", method: "messages", params } as never);
        if (data["event"] === "message-finish") blocks = update?.message.blocks as typeof blocks;
      }
      expect(open).toBeNull();
      const order = [...new Set(slices.map(({ index }) => index))];
      const said = (index: unknown): string =>
        slices
          .filter((block) => block["index"] === index)
          .map((block) => String(block["text"] ?? block["reasoning"] ?? block["args"]))
          .join("");
      expect(blocks.map((block) => block["text"] ?? block["reasoning"] ?? block["args"])).toEqual(
        order.map((index) => {
          const text = said(index);
          if ((index as number) > 1) return text;
          return text.trim() === "" ? {} : isObject(text) ? (JSON.parse(text) as unknown) : text;
        }),
      );
    }),
  );
});

function isObject(text: string): boolean {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === "object" && parsed !== null && !Array.isArray(parsed);
  } catch {
    return false;
  }
}

it("data grows by its base64, other blocks come whole", () => {
  const events = play([
    { type: "audio", base64: "AAAA", mime_type: "audio/wav", index: 0 },
    { type: "audio", base64: "BBBB", index: 0 },
    { type: "image", url: "https://example.com/a.png" },
    { type: "image", url: "https://example.com/b.png" },
  ]);
  expect(events.slice(1, -1)).toEqual([
    { event: "content-block-start", index: 0, content: { type: "audio", base64: "AAAA", mime_type: "audio/wav" } },
    { event: "content-block-delta", index: 0, delta: { type: "data-delta", data: "BBBB", encoding: "base64" } },
    { event: "content-block-finish", index: 0, content: { type: "audio", base64: "AAAABBBB", mime_type: "audio/wav" } },
    ...["a", "b"].flatMap((name, at) => {
      const content = { type: "image", url: `https://example.com/${name}.png` };
      return [
        { event: "content-block-start", index: at + 1, content },
        { event: "content-block-finish", index: at + 1, content },
      ];
    }),
  ]);
});
