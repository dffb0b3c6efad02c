import type { Ids } from "../things.js";
import type { Difference } from "./variant.js";

/** A command of the event protocol, about things of somebody else, or of nobody. */
export interface CommandVariant {
  readonly name: string;
  /** Default: the thread at rest. With `needsOwn` one's own is possible. */
  readonly threadOf?: (ids: Ids, own: Ids) => string;
  readonly params: (ids: Ids, own: Ids) => object;
  readonly needsOwn?: true;
  readonly differs?: Difference;
  /** Only where there is a connection that it could live on. */
  readonly onSocket?: true;
  /** @see Variant.asksNobody */
  readonly asksNobody?: string;
}

const command = (
  name: string,
  params: CommandVariant["params"],
  more: Partial<CommandVariant> = {},
): CommandVariant => ({
  name,
  params,
  ...more,
});
const own = { needsOwn: true, threadOf: (_: Ids, mine: Ids) => mine.threadId } as const;
const busy = { threadOf: ({ busyId }: Ids) => busyId };
const interrupted = { threadOf: ({ interruptedId }: Ids) => interruptedId };
const input = { messages: [{ role: "user", content: "hi", id: "m1" }] };
/** §4.1: the first run makes a missing thread; §7.5: none is created on a hidden one. */
const runs: Difference = { section: "§7.5", hidden: "no_such_run", missing: "success" };

/** By method: every one that the protocol has. */
export const commandCases: Readonly<Record<string, readonly [CommandVariant, ...CommandVariant[]]>> = {
  "run.start": [
    command("at rest", () => ({ assistant_id: "echo", input }), { differs: runs }),
    command("what waits for an answer", () => ({ assistant_id: "ask", input: "mine" }), {
      ...interrupted,
      differs: runs,
    }),
    ...["interrupt", "rollback", "reject"].map((strategy) =>
      command(`${strategy} what is busy`, () => ({ assistant_id: "echo", input, multitask_strategy: strategy }), {
        ...busy,
        differs: runs,
      }),
    ),
    command("own thread, another's assistant", ({ assistantId }) => ({ assistant_id: assistantId, input }), own),
    command(
      "own thread, another's checkpoint",
      ({ threadId, checkpointId }) => ({
        assistant_id: "echo",
        input,
        config: { configurable: { thread_id: threadId, checkpoint_id: checkpointId } },
      }),
      own,
    ),
  ],
  "input.respond": [
    command("another's question", ({ interruptId }) => ({ interrupt_id: interruptId, response: "mine" }), interrupted),
    command("at rest", ({ interruptId }) => ({ responses: [{ interrupt_id: interruptId, response: 1 }] })),
    command("own thread, another's question", ({ interruptId }) => ({ interrupt_id: interruptId, response: 1 }), own),
  ],
  "input.inject": [
    command("at rest", () => ({ message: { role: "user", content: "mine" } })),
    command("busy", () => ({ message: { role: "user", content: "mine" } }), busy),
  ],
  "state.get": [
    command("at rest", () => ({})),
    command("some of it", () => ({ namespace: [], keys: ["messages"] }), busy),
    command("a namespace", () => ({ namespace: ["sub:1"] })),
  ],
  "state.listCheckpoints": [
    command("all", () => ({})),
    command("before", ({ checkpointId }) => ({ before: checkpointId, limit: 5 })),
    command("own thread, before another's", ({ checkpointId }) => ({ before: checkpointId }), own),
  ],
  "state.fork": [
    command("another's", ({ checkpointId }) => ({ checkpoint_id: checkpointId, input })),
    command("own thread, another's checkpoint", ({ checkpointId }) => ({ checkpoint_id: checkpointId, input }), own),
    command(
      "own thread and checkpoint, another's thread",
      ({ threadId }, mine) => ({
        checkpoint_id: mine.checkpointId,
        input,
        config: { configurable: { thread_id: threadId } },
      }),
      own,
    ),
  ],
  "agent.getTree": [
    command("newest run", () => ({})),
    command("running", () => ({}), busy),
    command("by run", ({ runId }) => ({ run_id: runId })),
    command("own thread, another's run", ({ runId }) => ({ run_id: runId }), own),
  ],
  "subscription.subscribe": [
    command("everything", () => ({ channels: ["values", "updates", "messages", "lifecycle", "custom"] }), {
      onSocket: true,
    }),
    command("ends of what is busy", () => ({ channels: ["lifecycle", "input"] }), { ...busy, onSocket: true }),
  ],
  "subscription.unsubscribe": [
    command("another's", () => ({ subscription_id: "eyJjaGFubmVscyI6WyJ2YWx1ZXMiXX0.00000000" }), {
      onSocket: true,
      asksNobody: "subscriptions live on the connection that made them",
    }),
  ],
  "subscription.reconnect": [
    command(
      "another's run",
      ({ runId }) => ({ run_id: runId, subscriptions: ["eyJjaGFubmVscyI6WyJ2YWx1ZXMiXX0.00000000"] }),
      { onSocket: true },
    ),
    command("own thread, another's run", ({ runId }) => ({ run_id: runId, last_event_id: "1" }), {
      ...own,
      onSocket: true,
    }),
  ],
  "nothing.known": [command("unknown", () => ({}), { asksNobody: "there is no such command" })],
};
