import { AIMessage, HumanMessage, RemoveMessage, SystemMessage, ToolMessage } from "@langchain/core/messages";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { normalizeMessages } from "../../../src/engine/thread-events/normalize-messages.js";
import { serialize } from "../../../src/engine/streams/serialize.js";

const shown = (value: unknown): unknown => JSON.parse(serialize(normalizeMessages(value)));

describe("messages of states and updates", () => {
  it.each<[unknown, unknown]>([
    [new HumanMessage({ id: "h", content: "hi", name: "Ann" }), { type: "human", content: "hi", id: "h", name: "Ann" }],
    [new SystemMessage("be kind"), { type: "system", content: "be kind" }],
    [new RemoveMessage({ id: "gone" }), { type: "remove", content: [], id: "gone" }],
    [
      new ToolMessage({ id: "t", content: "42", tool_call_id: "c", artifact: { a: 1 }, status: "success" }),
      { type: "tool", content: "42", id: "t", tool_call_id: "c", status: "success", artifact: { a: 1 } },
    ],
    [
      new AIMessage({
        id: "a",
        content: "",
        tool_calls: [{ id: "c", name: "look", args: { at: 1 } }],
        usage_metadata: { input_tokens: 1, output_tokens: 1, total_tokens: 2 },
        response_metadata: { model_name: "m" },
        additional_kwargs: { secret: 1 },
      } as never),
      {
        type: "ai",
        content: "",
        id: "a",
        response_metadata: { model_name: "m" },
        tool_calls: [{ id: "c", name: "look", args: { at: 1 }, type: "tool_call" }],
      },
    ],
    [
      { role: "x", type: "user", content: "hi", extra: 1 },
      { type: "human", content: "hi" },
    ],
    [
      { type: "assistant", content: "hi", example: true },
      { type: "ai", content: "hi", example: true },
    ],
  ])("%#: keep only what the protocol knows", (message, expected) => {
    expect(shown({ messages: [message], deep: { er: message } })).toEqual({
      messages: [expected],
      deep: { er: expected },
    });
  });

  it("have their calls read, wherever they are, and told when they can't be", () => {
    const calls = [
      { id: "1", function: { name: "look", arguments: '{"at":1}' } },
      { id: "2", function: { name: "look", arguments: "" } },
      { id: "3", function: { name: "look", arguments: "{no" } },
      { id: "4", function: { arguments: "{}" } },
    ];
    expect(shown({ type: "ai", content: "", additional_kwargs: { tool_calls: calls } })).toEqual({
      type: "ai",
      content: "",
      tool_calls: [
        { id: "1", name: "look", args: { at: 1 }, type: "tool_call" },
        { id: "2", name: "look", args: {}, type: "tool_call" },
      ],
      invalid_tool_calls: [
        { id: "3", name: "look", args: "{no", error: "Malformed args.", type: "invalid_tool_call" },
        { id: "4", args: "{}", error: "Incomplete tool call.", type: "invalid_tool_call" },
      ],
    });
  });

  it("have content of known blocks", () => {
    const content = [
      "plain",
      { type: "image_url", image_url: { url: "https://example.com/a.png" } },
      { type: "input_audio", input_audio: { data: "AAAA", format: "mp3" } },
      { type: "file", fileId: "f", mimeType: "text/plain" },
      { type: "guess", x: 1 },
    ];
    expect(shown({ type: "human", content })).toEqual({
      type: "human",
      content: [
        { type: "text", text: "plain" },
        { type: "image", url: "https://example.com/a.png" },
        { type: "audio", base64: "AAAA", mime_type: "audio/mp3" },
        { type: "file", file_id: "f", mime_type: "text/plain" },
        { type: "non_standard", value: { type: "guess", x: 1 } },
      ],
    });
    const spoken = {
      type: "ai",
      content: "so",
      additional_kwargs: { audio: { id: "1", data: "AAAA", transcript: "so" } },
    };
    expect(shown(spoken)).toEqual({
      type: "ai",
      content: [
        { type: "text", text: "so" },
        { type: "audio", id: "1", data: "AAAA", transcript: "so", mime_type: "audio/wav" },
      ],
    });
  });

  it("interrupts are removed, at any depth", () => {
    expect(shown({ a: 1, __interrupt__: [1], b: [{ __interrupt__: [], c: 2 }] })).toEqual({ a: 1, b: [{ c: 2 }] });
  });

  it("what is no message stays the very same object", () => {
    const plain = fc.jsonValue().filter((value) => !JSON.stringify(value).includes("__interrupt__"));
    fc.assert(fc.property(plain, (value) => normalizeMessages(value) === value));
    const own = { type: "user", name: "Ann", roles: ["human"] };
    expect(normalizeMessages(own)).toBe(own);
    for (const other of [new Map([["a", own]]), new Set([1]), new Date(0), null, "text", 5n]) {
      expect(normalizeMessages(other)).toBe(other);
    }
  });
});
