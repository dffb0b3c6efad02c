import { useMessages, useStream } from "@langchain/react";
import type { Address } from "./address.js";
import type { Chat, ChatState, Review } from "./chat.js";
import { ChatView } from "./chat-view.js";
import { useBranches } from "./branches.js";
import { errorText, toChatMessages } from "./messages.js";
import { SubagentView } from "./message-view.js";

/**
 * The chat over a thread's events: commands in, events out, with `useStream` of `@langchain/react`. Over SSE they are
 * `POST /threads/{id}/commands` and `POST /threads/{id}/stream/events`, over WebSocket both go through one socket.
 */
export function EventsChat(props: {
  readonly address: Address;
  readonly transport: "sse" | "websocket";
  readonly onThreadId: (id: string) => void;
}) {
  const { address, transport, onThreadId } = props;
  const stream = useStream<ChatState>({
    apiUrl: address.api,
    assistantId: "chat",
    threadId: address.threadId,
    onThreadId,
    transport,
  });
  const branches = useBranches(stream.client, stream.threadId, stream.isLoading);
  const values = branches.head?.values ?? stream.values;
  const interrupt = branches.head === null ? stream.interrupts[0] : undefined;

  const human = (text: string) => ({ messages: [{ type: "human", content: text }] });
  const forkFrom = (checkpointId: string | undefined) => (checkpointId === undefined ? {} : { forkFrom: checkpointId });

  const chat: Chat = {
    messages: toChatMessages(branches.head === null ? stream.messages : (values.messages ?? []), (id) => ({
      hasPast: branches.before(id) !== undefined,
      branches: branches.of(id),
    })),
    todos: values.todos ?? [],
    files: values.files ?? {},
    review: (interrupt?.value ?? null) as Review | null,
    subagent: (callId) => {
      const subagent = stream.subagents.get(callId);
      return subagent === undefined ? null : <Subagent stream={stream} subagent={subagent} />;
    },
    isRunning: stream.isLoading,
    isLoading: stream.isThreadLoading,
    error: errorText(stream.error),
    send: (text) => void stream.submit(human(text), forkFrom(branches.head?.checkpoint.checkpoint_id ?? undefined)),
    stop: () => void stop(stream),
    decide: (decision) => {
      const target = interrupt?.id === undefined ? {} : { interruptId: interrupt.id };
      // The hook shows its failure.
      stream.respond({ decisions: [decision] }, target).catch(() => undefined);
    },
    regenerate: ({ id, branches: versions }) => {
      const config = { configurable: { seed: versions?.options.length ?? 1 } };
      void stream.submit(null, { ...forkFrom(branches.before(id)), config });
    },
    edit: ({ id }, text) => void stream.submit(human(text), forkFrom(branches.before(id))),
    showBranch: branches.show,
  };
  return <ChatView chat={chat} />;
}

/** `stop` cancels runs that this page started; after a reload there may be another. */
async function stop({ stop: stopOwn, client, threadId }: Stream): Promise<void> {
  await stopOwn();
  if (threadId === null) return;
  const running = await client.runs.list(threadId, { status: "running" });
  // One that has ended meanwhile needs no cancel.
  await Promise.allSettled(running.map((run) => client.runs.cancel(threadId, run.run_id)));
}

type Stream = ReturnType<typeof useStream<ChatState>>;

/** Its messages are subscribed to as long as this is shown. */
function Subagent(props: {
  readonly stream: Stream;
  readonly subagent: Stream["subagents"] extends ReadonlyMap<string, infer One> ? One : never;
}) {
  const { stream, subagent } = props;
  const messages = useMessages(stream, subagent);
  return <SubagentView name={subagent.name} status={subagent.status} messages={toChatMessages(messages)} />;
}
