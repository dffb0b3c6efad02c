import { useStream } from "@langchain/langgraph-sdk/react";
import type { UseDeepAgentStream, UseDeepAgentStreamOptions } from "@langchain/langgraph-sdk/ui";
import { useEffect } from "react";
import type { Address } from "./address.js";
import { newestBranch } from "./branches.js";
import type { Chat, ChatState, Review } from "./chat.js";
import { ChatView } from "./chat-view.js";
import { errorText, toChatMessages } from "./messages.js";
import { SubagentView } from "./message-view.js";

/** Subagents are typed for graphs that deepagents made; the hook has them for any. */
const useAgentStream = useStream as unknown as (
  options: UseDeepAgentStreamOptions<ChatState>,
) => UseDeepAgentStream<ChatState>;

/** What each run streams beside the modes that the hook asks for itself. `reconnectOnMount` makes runs resumable. */
const RUN = { streamSubgraphs: true } as const;

/** The chat over runs: `POST /threads/{id}/runs/stream`, with `useStream` of the SDK. */
export function RunsChat(props: { readonly address: Address; readonly onThreadId: (id: string) => void }) {
  const { address, onThreadId } = props;
  const stream = useAgentStream({
    apiUrl: address.api,
    assistantId: "chat",
    threadId: address.threadId,
    onThreadId,
    reconnectOnMount: true,
    fetchStateHistory: { limit: 100 },
    filterSubagentMessages: true,
    subagentToolNames: ["task"],
  });

  const { setBranch } = stream;
  const newest = newestBranch(stream.experimental_branchTree);
  useEffect(() => setBranch(newest.branch), [newest.checkpointId, newest.branch, setBranch]);

  const metadataOf = (id: string) => {
    const message = stream.messages.find((one) => one.id === id);
    return message === undefined ? undefined : stream.getMessagesMetadata(message);
  };
  /** Where the state was before this message: a run from there makes a branch. */
  const before = (id: string) => metadataOf(id)?.firstSeenState?.parent_checkpoint ?? null;

  const chat: Chat = {
    messages: toChatMessages(stream.messages, (id) => {
      const { branch: shown, branchOptions: options } = metadataOf(id) ?? {};
      const hasBranches = shown !== undefined && options !== undefined && options.length > 1;
      return { hasPast: before(id) !== null, branches: hasBranches ? { shown, options } : null };
    }),
    todos: stream.values.todos ?? [],
    files: stream.values.files ?? {},
    review: (stream.interrupts[0]?.value ?? null) as Review | null,
    subagent: (callId) => {
      const subagent = stream.getSubagent(callId);
      if (subagent === undefined) return null;
      const { toolCall, status, messages } = subagent;
      const name = toolCall.args.subagent_type ?? "subagent";
      return <SubagentView name={name} status={status} messages={toChatMessages(messages)} />;
    },
    isRunning: stream.isLoading,
    isLoading: stream.isThreadLoading,
    error: errorText(stream.error),
    send: (text) => {
      const message = { type: "human" as const, content: text, id: crypto.randomUUID() };
      void stream.submit(
        { messages: [message] },
        { ...RUN, optimisticValues: ({ messages }) => ({ messages: [...(messages ?? []), message] }) },
      );
    },
    stop: () => void stream.stop(),
    decide: (decision) => void stream.submit(undefined, { ...RUN, command: { resume: { decisions: [decision] } } }),
    regenerate: ({ id, branches }) => {
      const config = { configurable: { seed: branches?.options.length ?? 1 } };
      void stream.submit(undefined, { ...RUN, checkpoint: before(id), config });
    },
    edit: ({ id }, text) => {
      void stream.submit({ messages: [{ type: "human", content: text }] }, { ...RUN, checkpoint: before(id) });
    },
    showBranch: setBranch,
  };
  return <ChatView chat={chat} />;
}
