import type { Assistant } from "../../src/core/assistant.js";
import { isHeddleError } from "../../src/core/errors.js";
import type { Caller } from "../../src/core/auth.js";
import type { Cron } from "../../src/core/cron.js";
import type { JsonObject } from "../../src/core/json.js";
import { newId } from "../../src/services/identifiers.js";
import type { Run } from "../../src/core/run.js";
import type { Services } from "../../src/services/create-services.js";
import { REQUEST, type TestRuntime } from "../runtime/harness.js";
import { CRON_CASES, PAGE } from "./cron-cases.js";

export interface AuthEvent {
  readonly caller: string | null;
  readonly event: string;
  readonly value: JsonObject;
}

/** What belongs to Alice. */
export interface Fixture extends TestRuntime {
  readonly assistant: Assistant;
  readonly threadId: string;
  /** Finished. */
  readonly done: Run;
  /** Runs until it is cancelled, on a thread of its own. */
  readonly running: Run;
  readonly cron: Cron;
  readonly asked: AuthEvent[];
}

export interface Case {
  readonly call: (services: Services, caller: Caller, fixture: Fixture) => Promise<unknown>;
  /** Authorization events, in order. */
  readonly events: readonly string[];
  /** What the other user gets: an error code, or a value that shows nothing. */
  readonly hidden: { readonly code: string } | { readonly value: unknown };
  /** The owner, who does not see everybody's rows, is refused, too. */
  readonly isForOperators?: true;
}

/** Every method of every service that takes a caller. */
export const CASES: Readonly<Record<string, Case>> = {
  ...CRON_CASES,
  "assistants.create": {
    call: (s, caller, f) =>
      s.assistants.create(caller, { graphId: "quick", assistantId: f.assistant.assistantId, ifExists: "do_nothing" }),
    events: ["assistants:create"],
    hidden: { code: "ASSISTANT_EXISTS" },
  },
  "assistants.get": {
    call: (s, caller, f) => s.assistants.get(caller, f.assistant.assistantId),
    events: ["assistants:read"],
    hidden: { code: "ASSISTANT_NOT_FOUND" },
  },
  "assistants.update": {
    call: (s, caller, f) => s.assistants.update(caller, f.assistant.assistantId, { name: "new" }),
    events: ["assistants:update"],
    hidden: { code: "ASSISTANT_NOT_FOUND" },
  },
  "assistants.delete": {
    call: (s, caller, f) => s.assistants.delete(caller, f.assistant.assistantId, { deleteThreads: true }),
    events: ["assistants:delete", "threads:search", "threads:delete"],
    hidden: { code: "ASSISTANT_NOT_FOUND" },
  },
  "assistants.search": {
    call: (s, caller) => s.assistants.search(caller, { ...PAGE, sortBy: "created_at" }),
    events: ["assistants:search"],
    hidden: { value: { rows: [], total: 0 } },
  },
  "assistants.count": {
    call: (s, caller) => s.assistants.count(caller, {}),
    events: ["assistants:search"],
    hidden: { value: 0 },
  },
  "assistants.versions": {
    call: (s, caller, f) => s.assistants.versions(caller, f.assistant.assistantId, { limit: 10, offset: 0 }),
    events: ["assistants:read"],
    hidden: { code: "ASSISTANT_NOT_FOUND" },
  },
  "assistants.setLatest": {
    call: (s, caller, f) => s.assistants.setLatest(caller, f.assistant.assistantId, 1),
    events: ["assistants:update"],
    hidden: { code: "ASSISTANT_NOT_FOUND" },
  },
  "assistants.drawGraph": {
    call: (s, caller, f) => s.assistants.drawGraph(caller, f.assistant.assistantId, false),
    events: ["assistants:read"],
    hidden: { code: "ASSISTANT_NOT_FOUND" },
  },
  "assistants.schemas": {
    call: (s, caller, f) => s.assistants.schemas(caller, f.assistant.assistantId),
    events: ["assistants:read"],
    hidden: { code: "ASSISTANT_NOT_FOUND" },
  },
  "assistants.subgraphs": {
    call: (s, caller, f) => s.assistants.subgraphs(caller, f.assistant.assistantId, { recurse: false }),
    events: ["assistants:read"],
    hidden: { code: "ASSISTANT_NOT_FOUND" },
  },
  "threads.create": {
    call: (s, caller, f) => s.threads.create(caller, { threadId: f.threadId, ifExists: "do_nothing" }),
    events: ["threads:create"],
    hidden: { code: "THREAD_EXISTS" },
  },
  "threads.get": {
    call: (s, caller, f) => s.threads.get(caller, f.threadId),
    events: ["threads:read"],
    hidden: { code: "THREAD_NOT_FOUND" },
  },
  "threads.update": {
    call: (s, caller, f) => s.threads.update(caller, f.threadId, { metadata: { topic: "coffee" } }),
    events: ["threads:update"],
    hidden: { code: "THREAD_NOT_FOUND" },
  },
  "threads.delete": {
    call: (s, caller, f) => s.threads.delete(caller, f.threadId),
    events: ["threads:delete"],
    hidden: { code: "THREAD_NOT_FOUND" },
  },
  "threads.search": {
    call: (s, caller) => s.threads.search(caller, { ...PAGE, sortBy: "created_at", withState: true }),
    events: ["threads:search"],
    hidden: { value: { rows: [], total: 0 } },
  },
  "threads.count": {
    call: (s, caller) => s.threads.count(caller, {}),
    events: ["threads:search"],
    hidden: { value: 0 },
  },
  "threads.copy": {
    call: (s, caller, f) => s.threads.copy(caller, f.threadId),
    events: ["threads:read", "threads:create"],
    hidden: { code: "THREAD_EXISTS" },
  },
  "threads.prune": {
    call: (s, caller, f) => s.threads.prune(caller, { threadIds: [f.threadId], strategy: "delete", dryRun: true }),
    events: ["threads:delete"],
    hidden: { value: { count: 0, report: { checkpoints: 0, writes: 0, values: 0, bytes: 0 } } },
  },
  "threads.storage": {
    call: (s, caller, f) => s.threads.storage(caller, f.threadId),
    events: ["threads:read"],
    hidden: { code: "THREAD_NOT_FOUND" },
  },
  "state.get": {
    call: (s, caller, f) => s.state.get(caller, f.threadId, { subgraphs: false }),
    events: ["threads:read"],
    hidden: { code: "THREAD_NOT_FOUND" },
  },
  "state.history": {
    call: (s, caller, f) => s.state.history(caller, f.threadId, { limit: 10 }),
    events: ["threads:read"],
    hidden: { code: "THREAD_NOT_FOUND" },
  },
  "state.update": {
    call: (s, caller, f) => s.state.update(caller, f.threadId, { update: { values: { n: 2 } } }),
    events: ["threads:read", "threads:update"],
    hidden: { code: "THREAD_NOT_FOUND" },
  },
  "runs.create": {
    call: (s, caller, f) =>
      s.runs.create(caller, f.threadId, { ...REQUEST, assistantId: "quick", ifNotExists: "create" }),
    events: ["assistants:read", "threads:create_run"],
    hidden: { code: "THREAD_NOT_FOUND" },
  },
  "runs.createForTick": {
    call: (s, caller, f) =>
      s.runs.createForTick(caller, {
        runId: newId(),
        threadId: f.threadId,
        newThreadId: newId(),
        request: { ...REQUEST, assistantId: "quick" },
        insert: null,
      }),
    events: ["assistants:read", "threads:create_run"],
    hidden: { value: "no-thread" },
  },
  "runs.runnableAssistant": {
    call: (s, caller, f) => s.runs.runnableAssistant(caller, f.assistant.assistantId),
    events: ["assistants:read"],
    hidden: { code: "ASSISTANT_NOT_FOUND" },
  },
  "runs.attach": {
    call: (s, caller, f) => s.runs.attach(caller, f.threadId, { ...REQUEST, assistantId: "quick" }),
    events: ["assistants:read", "threads:create_run"],
    hidden: { code: "THREAD_NOT_FOUND" },
  },
  "runs.createBatch": {
    call: (s, caller, f) => s.runs.createBatch(caller, [{ ...REQUEST, assistantId: f.assistant.assistantId }]),
    events: ["assistants:read", "threads:create_run"],
    hidden: { code: "ASSISTANT_NOT_FOUND" },
  },
  "runs.get": {
    call: (s, caller, f) => s.runs.get(caller, f.done),
    events: ["threads:read"],
    hidden: { code: "THREAD_NOT_FOUND" },
  },
  "runs.explain": {
    call: (s, caller, f) => s.runs.explain(caller, f.done),
    events: ["threads:read"],
    hidden: { code: "THREAD_NOT_FOUND" },
  },
  "runs.join": {
    call: (s, caller, f) => s.runs.join(caller, { threadId: null, runId: f.done.runId }, "start"),
    events: ["threads:read"],
    hidden: { code: "RUN_NOT_FOUND" },
  },
  "runs.list": {
    call: (s, caller, f) => s.runs.list(caller, f.threadId, { limit: 10, offset: 0 }),
    events: ["threads:search"],
    hidden: { code: "THREAD_NOT_FOUND" },
  },
  "runs.cancel": {
    call: (s, caller, f) => s.runs.cancel(caller, f.running, { action: "interrupt", wait: true }),
    events: ["threads:update"],
    hidden: { code: "THREAD_NOT_FOUND" },
  },
  "runs.cancelMany": {
    call: (s, caller) => s.runs.cancelMany(caller, { status: "all" }, "rollback"),
    events: ["threads:update"],
    hidden: { value: 0 },
  },
  "runs.delete": {
    call: (s, caller, f) => s.runs.delete(caller, f.done),
    events: ["threads:delete"],
    hidden: { code: "THREAD_NOT_FOUND" },
  },
  "runs.result": {
    call: async (s, caller, f) => s.runs.result(caller, await s.runs.join(caller, f.done, "start")),
    events: ["threads:read"],
    hidden: { code: "THREAD_NOT_FOUND" },
  },
  "runs.cancelDisconnected": {
    call: async (s, caller, f) =>
      s.runs.cancelDisconnected(caller, await s.runs.join(caller, f.running, "start", { mayCancel: true })),
    events: ["threads:read", "threads:update"],
    hidden: { code: "THREAD_NOT_FOUND" },
  },
  "threadEvents.follow": {
    call: async (s, caller, f) => {
      const options = { position: "start", showsValues: () => true } as const;
      const cursor = await s.threadEvents.follow(caller, f.threadId, options);
      const { isBehind, newestSeq } = cursor;
      cursor.close();
      return { isBehind, newestSeq };
    },
    // Once to follow, once for the state that a fresh reader is told.
    events: ["threads:read", "threads:read"],
    hidden: { value: { isBehind: false, newestSeq: -1 } },
  },
  "threadEvents.lastSeq": {
    call: (s, caller, f) => s.threadEvents.lastSeq(caller, f.threadId),
    events: ["threads:read"],
    hidden: { value: 0 },
  },
  "threadRuns.follow": {
    call: async (s, caller, f) => {
      const left = new AbortController();
      const options = { after: "start", showsEvents: true, showsState: true, signal: left.signal } as const;
      await s.threadRuns.follow(caller, f.threadId, options);
      left.abort();
      return null;
    },
    events: ["threads:read"],
    // It waits, as for a thread that is not there yet.
    hidden: { value: null },
  },
  "threadCommands.start": {
    call: (s, caller, f) =>
      s.threadCommands.start(caller, f.threadId, {
        assistantId: "quick",
        input: { n: 1 },
        multitaskStrategy: "enqueue",
      }),
    events: ["threads:read", "assistants:read", "threads:create_run"],
    hidden: { code: "THREAD_NOT_FOUND" },
  },
  "threadCommands.respond": {
    call: async (s, caller, f) => {
      try {
        return await s.threadCommands.respond(caller, f.threadId, {
          responses: [{ interruptId: "i", response: 1 }],
        });
      } catch (error) {
        // Nothing waits on the owner's thread; others do not hear even that.
        if (isHeddleError(error) && error.code === "THREAD_NOT_INTERRUPTED") return null;
        throw error;
      }
    },
    events: ["threads:read"],
    hidden: { code: "THREAD_NOT_FOUND" },
  },
  "threadCommands.inject": {
    call: (s, caller, f) =>
      s.threadCommands.inject(caller, f.threadId, { namespace: [], message: { role: "user", content: "x" } }),
    events: ["threads:read", "threads:read", "threads:update"],
    hidden: { code: "THREAD_NOT_FOUND" },
  },
  "threadCommands.getState": {
    call: (s, caller, f) => s.threadCommands.getState(caller, f.threadId, { namespace: [] }),
    events: ["threads:read"],
    hidden: { code: "THREAD_NOT_FOUND" },
  },
  "threadCommands.listCheckpoints": {
    call: (s, caller, f) => s.threadCommands.listCheckpoints(caller, f.threadId, { namespace: [], limit: 5 }),
    events: ["threads:read"],
    hidden: { code: "THREAD_NOT_FOUND" },
  },
  "threadCommands.fork": {
    call: async (s, caller, f) => {
      try {
        return await s.threadCommands.fork(caller, f.threadId, { checkpointId: "1", input: null });
      } catch (error) {
        // The scripted engine's states have no checkpoint; others do not hear even that.
        if (isHeddleError(error) && error.code === "CHECKPOINT_NOT_FOUND") return null;
        throw error;
      }
    },
    events: ["threads:read"],
    hidden: { code: "THREAD_NOT_FOUND" },
  },
  "threadCommands.tree": {
    call: (s, caller, f) => s.threadCommands.tree(caller, f.threadId, undefined),
    events: ["threads:read"],
    hidden: { code: "RUN_NOT_FOUND" },
  },
  "streamTickets.issue": {
    call: (s, caller, f) => s.streamTickets.issue(caller, f.threadId),
    events: ["threads:read"],
    hidden: { code: "THREAD_NOT_FOUND" },
  },
  "items.put": {
    call: (s, caller) => s.items.put(caller, { namespace: ["alice", "notes"], key: "k", value: { text: "other" } }),
    events: ["store:put"],
    hidden: { code: "NOT_FOUND" },
  },
  "items.get": {
    call: (s, caller) => s.items.get(caller, { namespace: ["alice", "notes"], key: "k" }),
    events: ["store:get"],
    hidden: { code: "NOT_FOUND" },
  },
  "items.delete": {
    call: (s, caller) => s.items.delete(caller, { namespace: ["alice", "notes"], key: "k" }),
    events: ["store:delete"],
    hidden: { code: "NOT_FOUND" },
  },
  "items.search": {
    call: (s, caller) => s.items.search(caller, { namespacePrefix: [], limit: 10, offset: 0 }),
    events: ["store:search"],
    hidden: { value: [] },
  },
  "items.listNamespaces": {
    call: (s, caller) => s.items.listNamespaces(caller, { limit: 10, offset: 0 }),
    events: ["store:list_namespaces"],
    hidden: { value: [] },
  },
};

/** Methods that ask for no rows: an id's mapping, and what only the server itself may do. */
export const INTERNAL = ["assistants.idOf", "assistants.seedSystemAssistants"];
