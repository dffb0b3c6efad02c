/** `@ag-ui/langgraph` 0.0.43, the published adapter that CopilotKit's runtime drives LangGraph servers with. */
import { type BaseEvent, EventType, type Message, type RunAgentInput } from "@ag-ui/client";
import { LangGraphAgent } from "@ag-ui/langgraph";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { runStatuses } from "./support/run-status.js";
import { serveProject } from "./support/served-project.js";

let server: Awaited<ReturnType<typeof serveProject>>;
beforeAll(async () => void (server = await serveProject()));
afterAll(() => server.close());

// The adapter says there what it also rejects with, and that an older way of resuming is an older way.
for (const level of ["warn", "error"] as const) vi.spyOn(console, level).mockImplementation(() => {});

interface Turn {
  readonly events: readonly BaseEvent[];
  /** What the adapter ended with, when it broke its own protocol's order. */
  readonly failure: unknown;
}

function openAgent(graphId = "chat"): LangGraphAgent {
  return new LangGraphAgent({ deploymentUrl: server.url, graphId, threadId: crypto.randomUUID() });
}

/** One run of the adapter, to its end. */
async function turn(
  agent: LangGraphAgent,
  parameters: Partial<Pick<RunAgentInput, "runId" | "forwardedProps" | "resume">> = {},
  onEvent?: (event: BaseEvent) => void,
): Promise<Turn> {
  const events: BaseEvent[] = [];
  const onEveryEvent = ({ event }: { readonly event: BaseEvent }): void => {
    events.push(event);
    onEvent?.(event);
  };
  const failure: unknown = await agent.runAgent(parameters, { onEvent: onEveryEvent }).then(
    () => null,
    (error: unknown) => error,
  );
  return { events, failure };
}

const say = (agent: LangGraphAgent, content: string) =>
  agent.addMessage({ id: crypto.randomUUID(), role: "user", content });
const kinds = ({ events }: Turn): readonly string[] => [...new Set(events.map(({ type }) => type))];
/** The messages of the last snapshot that a run sent. */
function shown({ events }: Turn): readonly string[] {
  const snapshot = events.findLast((event) => event.type === EventType.MESSAGES_SNAPSHOT) as
    (BaseEvent & { readonly messages: readonly Message[] }) | undefined;
  return (snapshot?.messages ?? []).map((message) => {
    const calls = message.role === "assistant" ? (message.toolCalls ?? []) : [];
    const text = typeof message.content === "string" ? message.content : "";
    return `${message.role}: ${[text, ...calls.map((call) => `${call.function.name}()`)].filter(Boolean).join(" ")}`;
  });
}
const deltas = ({ events }: Turn): string =>
  events
    .filter((event) => event.type === EventType.TEXT_MESSAGE_CONTENT)
    .map((event) => (event as BaseEvent & { delta: string }).delta)
    .join("");

it("answers its questions about schemas at once", async () => {
  const [assistant] = await server.client.assistants.search({ graphId: "chat", limit: 1 });
  const schemas = await server.client.assistants.getSchemas(assistant!.assistant_id);
  expect(Object.keys(schemas.input_schema?.properties ?? {})).toEqual(["messages", "ui"]);
  const startedAt = performance.now();
  for (let i = 0; i < 20; i++) await server.client.assistants.getSchemas(assistant!.assistant_id);
  // The adapter asks before each run: it must not be felt.
  expect((performance.now() - startedAt) / 20).toBeLessThan(100);
});

it("streams text token by token, steps, and the state at the end", async () => {
  const agent = openAgent();
  say(agent, "hello there");
  const first = await turn(agent);
  expect(kinds(first)).toEqual(
    expect.arrayContaining([
      EventType.RUN_STARTED,
      EventType.STEP_STARTED,
      EventType.TEXT_MESSAGE_START,
      EventType.TEXT_MESSAGE_CONTENT,
      EventType.TEXT_MESSAGE_END,
      EventType.STATE_SNAPSHOT,
      EventType.MESSAGES_SNAPSHOT,
      EventType.STEP_FINISHED,
      EventType.RUN_FINISHED,
    ]),
  );
  expect(kinds(first)).not.toContain(EventType.RUN_ERROR);
  expect(deltas(first)).toBe("You said hello there");
  expect(first.events.filter(({ type }) => type === EventType.TEXT_MESSAGE_START)).toHaveLength(1);
  say(agent, "again");
  const second = await turn(agent);
  expect(second.failure).toBeNull();
  expect(shown(second)).toEqual([
    "user: hello there",
    "assistant: You said hello there",
    "user: again",
    "assistant: You said again",
  ]);
});

it("regenerates from the message that was edited", async () => {
  const agent = openAgent();
  say(agent, "one");
  await turn(agent);
  say(agent, "two");
  await turn(agent);
  const before = agent.messages.map(({ id }) => id);
  // The adapter goes back when there are fewer messages than the thread has, and one that the thread does not know.
  agent.setMessages([
    { id: crypto.randomUUID(), role: "assistant", content: "You said one" },
    { id: before[2]!, role: "user", content: "three" },
  ]);
  const again = await turn(agent);
  expect(kinds(again)).not.toContain(EventType.RUN_ERROR);
  const state = await server.client.threads.getState<{ messages: { content: string; id: string }[] }>(agent.threadId);
  expect(state.values.messages.map(({ content }) => content)).toEqual([
    "one",
    "You said one",
    "three",
    "You said three",
  ]);
  expect(state.values.messages[2]?.id).toBe(before[2]);
});

it.each(["the older", "the newer"])("resumes an interrupt in %s way", async (way) => {
  const agent = openAgent();
  agent.emitInterruptOutcome = way === "the newer";
  say(agent, "delete it");
  const asked = await turn(agent);
  const finished = asked.events.at(-1) as BaseEvent & { outcome?: { interrupts: { id: string }[] } };
  expect(finished.type).toBe(EventType.RUN_FINISHED);
  expect(asked.events).toContainEqual(expect.objectContaining({ type: EventType.CUSTOM, name: "on_interrupt" }));
  const decision = { type: "approve" };
  const resumed = await turn(
    agent,
    way === "the newer"
      ? {
          resume: (finished.outcome?.interrupts ?? []).map(({ id }) => ({
            interruptId: id,
            status: "resolved",
            payload: decision,
          })),
        }
      : { forwardedProps: { command: { resume: JSON.stringify(decision) } } },
  );
  expect(kinds(resumed)).not.toContain(EventType.RUN_ERROR);
  expect(shown(resumed)).toEqual([
    "user: delete it",
    "assistant: delete_file()",
    "tool: approve",
    "assistant: The tool says: approve",
  ]);
});

/** Abort at the first event of a type. */
async function abortedAt(
  agent: LangGraphAgent,
  type: EventType,
  parameters: Parameters<typeof turn>[1],
): Promise<void> {
  let isAborted = false;
  await turn(agent, parameters, (event) => {
    if (event.type === type && !isAborted) agent.abortRun();
    isAborted ||= event.type === type;
  });
  expect(isAborted).toBe(true);
}

it("cancels a run whose id it knows", async () => {
  const agent = openAgent();
  say(agent, "slow");
  await abortedAt(agent, EventType.TEXT_MESSAGE_CONTENT, {});
  expect(await runStatuses(server.client, agent.threadId, "interrupted")).toEqual(["interrupted"]);
});

// The adapter gives up then: it stops reading, which langgraph-sdk 1.15.0 does not turn into a closed connection.
it("cancels before it knows the run's id: an id of its own is no run, and what runs is not disturbed", async () => {
  const agent = openAgent();
  say(agent, "hi");
  const runId = crypto.randomUUID();
  await abortedAt(agent, EventType.RUN_STARTED, { runId });
  await expect(server.client.runs.cancel(agent.threadId, runId)).rejects.toMatchObject({ status: 404 });
  await expect(server.client.runs.cancel(agent.threadId, "run-1")).rejects.toMatchObject({ status: 422 });
  expect(await runStatuses(server.client, agent.threadId, "success")).toEqual(["success"]);
  expect((await server.client.threads.get(agent.threadId)).status).toBe("idle");
});

it("tells of an error, and the next run goes well", async () => {
  const agent = openAgent();
  say(agent, "crash");
  const failed = await turn(agent);
  expect(failed.events).toContainEqual(
    expect.objectContaining({ type: EventType.RUN_ERROR, message: "The model is out of order" }),
  );
  say(agent, "hi");
  // CopilotKit's runtime runs a clone for each request; what the failed run still sends would reach this one.
  const next = await turn(agent.clone() as LangGraphAgent);
  expect(next.failure).toBeNull();
  expect(deltas(next)).toBe("You said hi");
});

it("streams a subagent's text beside the root's", async () => {
  const agent = openAgent("deep");
  say(agent, "write a report");
  const report = await turn(agent, { forwardedProps: { streamSubgraphs: true } });
  expect(kinds(report)).not.toContain(EventType.RUN_ERROR);
  expect(deltas(report)).toContain("Looms weave cloth");
  expect(agent.state).toMatchObject({ files: { "report.md": "Looms weave cloth" } });
});
