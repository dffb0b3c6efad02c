import { setTimeout as sleep } from "node:timers/promises";
import type { BaseLanguageModelInput } from "@langchain/core/language_models/base";
import {
  BaseChatModel,
  type BaseChatModelCallOptions,
  type BaseChatModelParams,
  type BindToolsInput,
} from "@langchain/core/language_models/chat_models";
import { AIMessageChunk, type BaseMessage } from "@langchain/core/messages";
import { ChatGenerationChunk, type ChatResult } from "@langchain/core/outputs";
import type { CallbackManagerForLLMRun } from "@langchain/core/callbacks/manager";
import type { Runnable } from "@langchain/core/runnables";

/** What the model says next: a text, or tools to call. */
export type Reply = string | { readonly name: string; readonly args: Record<string, unknown> }[];

export interface ScriptedChatModelFields extends BaseChatModelParams {
  /** Chooses the reply from the messages so far. The same messages must give the same reply. */
  readonly script: (messages: readonly BaseMessage[]) => Reply;
  /** Pause before each token, milliseconds. Default 5. */
  readonly tokenDelayMs?: number;
}

/**
 * A chat model without a network: its replies come from a script, and it streams them as real models do — word by word,
 * tool calls as `tool_call_chunks` with their arguments in pieces, `usage_metadata` on the last chunk.
 */
export class ScriptedChatModel extends BaseChatModel {
  readonly #fields: ScriptedChatModelFields;

  constructor(fields: ScriptedChatModelFields) {
    super(fields);
    this.#fields = fields;
  }

  override _llmType(): string {
    return "scripted";
  }

  /** The script decides which tools to call, so binding them changes nothing. */
  override bindTools(
    _tools: BindToolsInput[],
    kwargs?: Partial<BaseChatModelCallOptions>,
  ): Runnable<BaseLanguageModelInput, AIMessageChunk, BaseChatModelCallOptions> {
    return this.withConfig(kwargs ?? {});
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
    const id = `msg-${crypto.randomUUID()}`;
    const parts = splitReply(id, this.#fields.script(messages));
    for (const message of [...parts, usageChunk(id, messages, parts.length)]) {
      await sleep(this.#fields.tokenDelayMs ?? 5, undefined, { signal: options.signal });
      const chunk = new ChatGenerationChunk({ text: message.text, message });
      yield chunk;
      await runManager?.handleLLMNewToken(chunk.text, undefined, undefined, undefined, undefined, { chunk });
    }
  }
}

function splitReply(id: string, reply: Reply): AIMessageChunk[] {
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

/** The last chunk of a reply: how many tokens went in and came out. Words stand in for tokens. */
function usageChunk(id: string, messages: readonly BaseMessage[], outputTokens: number): AIMessageChunk {
  const inputTokens = messages.reduce((sum, { text }) => sum + text.split(/\s+/).length, 0);
  // @langchain/core 1.4.0 types `usage_metadata` as never for the default message structure.
  return Object.assign(new AIMessageChunk({ id, content: "" }), {
    usage_metadata: {
      input_tokens: inputTokens,
      output_tokens: outputTokens,
      total_tokens: inputTokens + outputTokens,
    },
  });
}
