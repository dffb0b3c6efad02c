import type { Client, ThreadState } from "@langchain/langgraph-sdk";
import { getBranchContext, getMessagesMetadataMap, type Sequence } from "@langchain/langgraph-sdk/ui";
import { useEffect, useState } from "react";
import type { ChatMessage, ChatState } from "./chat.js";

export interface Branches {
  /** Other versions of a message. */
  of(id: string): ChatMessage["branches"];
  /** The checkpoint before a message: a run from there makes a branch. */
  before(id: string): string | undefined;
  /** The last state of the shown branch, unless that is what the thread's next run goes on from anyway. */
  readonly head: ThreadState<ChatState> | null;
  show(branch: string): void;
}

interface PlainMessage {
  readonly id?: string;
}

/**
 * The branch of the thread's newest checkpoint. The SDK (1.15.0) shows the version that was begun last instead, also after
 * a run that went on from an earlier one.
 */
export function newestBranch<T extends Record<string, unknown>>(
  tree: Sequence<T>,
): { readonly checkpointId: string; readonly branch: string } {
  const newest = { checkpointId: "", branch: "" };
  const left = [...tree.items];
  for (let item = left.pop(); item !== undefined; item = left.pop()) {
    if (item.type === "fork") {
      left.push(...item.items.flatMap(({ items }) => items));
      continue;
    }
    const checkpointId = item.value.checkpoint.checkpoint_id ?? "";
    // Ids of checkpoints sort by their time.
    if (checkpointId > newest.checkpointId) Object.assign(newest, { checkpointId, branch: item.path.join(">") });
  }
  return newest;
}

const messagesOf = (values: ChatState): PlainMessage[] => (values.messages ?? []) as PlainMessage[];

/**
 * The versions of a thread, from its history. The hook for runs does this by itself; the one for events knows the
 * checkpoint of the messages it saw coming, not of those before.
 * @param isRunning the history is read again when a run has ended
 */
export function useBranches(client: Client, threadId: string | null, isRunning: boolean): Branches {
  const [history, setHistory] = useState<ThreadState<ChatState>[]>([]);
  const [branch, setBranch] = useState("");

  useEffect(() => {
    if (isRunning) return undefined;
    const leaving = new AbortController();
    const read = async (id: string) => {
      const states = await client.threads.getHistory<ChatState>(id, { limit: 100, signal: leaving.signal });
      if (leaving.signal.aborted) return;
      setHistory(states);
      setBranch(newestBranch(getBranchContext("", states).branchTree).branch);
    };
    setHistory([]);
    // A thread that does not exist yet has no history.
    if (threadId !== null) read(threadId).catch(() => undefined);
    return () => leaving.abort();
  }, [client, threadId, isRunning]);

  const context = getBranchContext(branch, history);
  const metadata = getMessagesMetadataMap<ChatState>({
    initialValues: undefined,
    history,
    getMessages: (values) => messagesOf(values) as never,
    branchContext: context,
  });
  const metadataOf = (id: string) => metadata.find(({ messageId }) => messageId === id);
  const isLatest = context.threadHead?.checkpoint.checkpoint_id === history[0]?.checkpoint.checkpoint_id;

  return {
    of(id) {
      const { branch: shown, branchOptions } = metadataOf(id) ?? {};
      return shown === undefined || branchOptions === undefined || branchOptions.length < 2
        ? null
        : { shown, options: branchOptions };
    },
    before: (id) => metadataOf(id)?.firstSeenState?.parent_checkpoint?.checkpoint_id ?? undefined,
    head: isLatest || isRunning ? null : (context.threadHead ?? null),
    show: setBranch,
  };
}
