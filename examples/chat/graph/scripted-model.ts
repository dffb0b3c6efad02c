import { setTimeout as sleep } from "node:timers/promises";
import type { CallbackManagerForLLMRun } from "@langchain/core/callbacks/manager";
import { BaseChatModel } from "@langchain/core/language_models/chat_models";
import { AIMessageChunk, type BaseMessage } from "@langchain/core/messages";
import { ChatGenerationChunk, type ChatResult } from "@langchain/core/outputs";

/** What the model says next: a text, or tools to call. */
export type Reply = string | readonly { readonly name: string; readonly args: Record<string, unknown> }[];

export interface ScriptedModelFields {
  /** Chooses the reply. The same messages and seed must give the same reply. */
  readonly script: (messages: readonly BaseMessage[], seed: number) => Reply;
  /** Pause before each token, milliseconds. */
  readonly tokenDelayMs: number;
  /** A real model answers differently each time; this one when the seed differs. */
  readonly seed: number;
}

/** A chat model without a network. It streams as real ones do: word by word, arguments of tool calls in pieces. */
export class ScriptedModel extends BaseChatModel {
  readonly #fields: ScriptedModelFields;

  constructor(fields: ScriptedModelFields) {
    super({});
    this.#fields = fields;
  }

  override _llmType(): string {
    return "scripted";
  }

  override async _generate(
    messages: BaseMessage[],
    options: this["ParsedCallOptions"],
    runManager?: CallbackManagerForLLMRun,
  ): Promise<ChatResult> {
    let whole: ChatGenerationChunk | undefined;
    for await (const chunk of this._streamResponseChunks(messages, options, runManager)) {
      whole = whole?.concat(chunk) ?? chunk;
    }
    return { generations: whole === undefined ? [] : [whole] };
  }

  override async *_streamResponseChunks(
    messages: BaseMessage[],
    options: this["ParsedCallOptions"],
    runManager?: CallbackManagerForLLMRun,
  ): AsyncGenerator<ChatGenerationChunk> {
    const { script, seed, tokenDelayMs } = this.#fields;
    for (const message of inPieces(`msg-${crypto.randomUUID()}`, script(messages, seed))) {
      await sleep(tokenDelayMs, undefined, { signal: options.signal });
      const chunk = new ChatGenerationChunk({ text: message.text, message });
      yield chunk;
      await runManager?.handleLLMNewToken(chunk.text, undefined, undefined, undefined, undefined, { chunk });
    }
  }
}

function inPieces(id: string, reply: Reply): AIMessageChunk[] {
  if (typeof reply === "string") {
    return (reply.match(/\S+\s*/g) ?? []).map((content) => new AIMessageChunk({ id, content }));
  }
  return reply.flatMap(({ name, args }, index) => {
    const json = JSON.stringify(args);
    const half = Math.ceil(json.length / 2);
    const begin = { index, id: `call-${crypto.randomUUID()}`, name, args: json.slice(0, half) };
    return [begin, { index, args: json.slice(half) }].map(
      (part) => new AIMessageChunk({ id, content: "", tool_call_chunks: [{ ...part, type: "tool_call_chunk" }] }),
    );
  });
}
