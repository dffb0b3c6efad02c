import { describe, expect, test } from "vitest";
import type { Assistant } from "../../../src/core/assistant.js";
import { asJsonText, toJsonText } from "../../../src/core/json.js";
import type { Run } from "../../../src/core/run.js";
import type { StateTask, ThreadState } from "../../../src/core/state.js";
import type { Thread } from "../../../src/core/thread.js";
import { encodeAssistant, encodeAssistantVersion, encodeSubgraphs } from "../../../src/wire/assistants.js";
import { encodeError } from "../../../src/wire/errors.js";
import { HeddleError } from "../../../src/core/errors.js";
import { joinArrays, parseBody } from "../../../src/wire/json.js";
import { encodeRun } from "../../../src/wire/runs.js";
import { encodeInfo } from "../../../src/wire/system.js";
import { decodeStateCheckpoint, encodeState, encodeUpdated } from "../../../src/wire/thread-state.js";
import { decodeThreadSearch, encodeThread } from "../../../src/wire/threads.js";

const AT = Date.parse("2026-11-22T01:20:22.868Z");
const MESSAGE = '{"content":"hello","id":"m1","additional_kwargs":{},"response_metadata":{},"type":"human"}';

const newThread: Thread = {
  threadId: "01a200d7",
  createdAt: AT,
  updatedAt: AT + 121,
  stateUpdatedAt: AT,
  metadata: {},
  config: {},
  status: "idle",
  values: null,
  interrupts: null,
  error: null,
  ttl: null,
};

describe("samples of docs/wire/langgraph-api.md, appendix H, byte for byte", () => {
  test("a new thread has neither values nor interrupts", () => {
    expect(encodeThread(newThread)).toBe(
      '{"thread_id":"01a200d7","created_at":"2026-11-22T01:20:22.868Z","updated_at":"2026-11-22T01:20:22.989Z",' +
        '"state_updated_at":"2026-11-22T01:20:22.868Z","metadata":{},"status":"idle","config":{}}',
    );
  });

  test("an interrupted thread", () => {
    const thread: Thread = {
      ...newThread,
      metadata: { graph_id: "hitl", assistant_id: "d2a02ed8" },
      status: "interrupted",
      config: { configurable: { "user-agent": "curl/7.88.1" } },
      values: asJsonText(`{"messages":[${MESSAGE}]}`),
      interrupts: asJsonText('{"f90f6d76":[{"id":"7dff","value":{"q":"ok?"}}]}'),
    };
    expect(encodeThread(thread).split('"metadata"')[1]).toBe(
      ':{"graph_id":"hitl","assistant_id":"d2a02ed8"},"status":"interrupted","config":{"configurable":{"user-agent":"curl/7.88.1"}},' +
        `"values":{"messages":[${MESSAGE}]},"interrupts":{"f90f6d76":[{"id":"7dff","value":{"q":"ok?"}}]}}`,
    );
  });

  test("state", () => {
    expect(encodeState(interrupted)).toBe(
      `{"values":{"messages":[${MESSAGE}]},"next":["ask"],` +
        '"tasks":[{"id":"f90f6d76","name":"ask","error":null,"interrupts":[{"id":"7dff","value":{"q":"ok?"}}],' +
        '"path":["__pregel_pull","ask"],"checkpoint":null,"state":null,"result":null}],' +
        '"metadata":{"source":"loop","step":0,"parents":{}},"created_at":"2026-11-22T01:20:22.984Z",' +
        '"checkpoint":{"thread_id":"01a200d7","checkpoint_id":"1f1e612e-3bd7","checkpoint_ns":"","checkpoint_map":null},' +
        '"parent_checkpoint":{"thread_id":"01a200d7","checkpoint_id":"1f1e612e-3bc8","checkpoint_ns":"","checkpoint_map":null},' +
        '"interrupts":[{"id":"7dff","value":{"q":"ok?"}}]}',
    );
  });

  test("empty state", () => {
    const empty: ThreadState = {
      values: asJsonText("{}"),
      next: [],
      tasks: [],
      metadata: null,
      createdAt: null,
      checkpoint: null,
      parentCheckpoint: null,
    };
    expect(encodeState(empty)).toBe(
      '{"values":{},"next":[],"tasks":[],"created_at":null,"checkpoint":null,"parent_checkpoint":null,"interrupts":[]}',
    );
  });

  test("assistant and its versions", () => {
    const assistant: Assistant = {
      assistantId: "b54c0545",
      graphId: "graph",
      name: "graph",
      description: null,
      config: {},
      context: {},
      metadata: { created_by: "system" },
      version: 1,
      createdAt: AT,
      updatedAt: AT,
    };
    expect(encodeAssistant(assistant)).toBe(
      '{"assistant_id":"b54c0545","version":1,"config":{},"context":{},"created_at":"2026-11-22T01:20:22.868Z",' +
        '"updated_at":"2026-11-22T01:20:22.868Z","graph_id":"graph","metadata":{"created_by":"system"},"name":"graph","description":null}',
    );
    expect(JSON.parse(encodeAssistantVersion(assistant))).not.toHaveProperty("updated_at");
  });

  test("run", () => {
    const sent = JSON.parse(encodeRun(run)) as object;
    expect(Object.keys(sent)).toEqual(
      "run_id thread_id assistant_id metadata status kwargs multitask_strategy created_at updated_at".split(" "),
    );
    expect(sent).toMatchObject({
      metadata: { k: 1 },
      status: "pending",
      kwargs: {
        input: { messages: [] },
        config: {
          configurable: { "x-foo": "bar", run_id: "r", thread_id: "t", graph_id: "slow", assistant_id: "a" },
          metadata: { k: 1 },
        },
        context: {},
        stream_mode: ["values"],
        temporary: false,
        subgraphs: false,
        resumable: true,
      },
      multitask_strategy: "reject",
      created_at: "2026-11-22T01:20:22.868Z",
    });
    expect(encodeRun(run)).not.toContain("secret");
  });

  test("state update and info", () => {
    expect(encodeUpdated({ thread_id: "t", checkpoint_ns: "", checkpoint_id: "1f" })).toBe(
      '{"checkpoint":{"checkpoint_map":null,"thread_id":"t","checkpoint_ns":"","checkpoint_id":"1f"}}',
    );
    const flags = { assistants: true, crons: false, langsmith: false };
    expect(encodeInfo({ version: "1.5.1", langgraphVersion: "1.7.3", flags })).toBe(
      '{"version":"1.5.1","langgraph_js_version":"1.7.3","context":"js","flags":{"assistants":true,"crons":false,"langsmith":false,"langsmith_tracing_replicas":true}}',
    );
  });
});

const task: StateTask = {
  id: "f90f6d76",
  name: "ask",
  path: asJsonText('["__pregel_pull","ask"]'),
  error: null,
  interrupts: asJsonText('[{"id":"7dff","value":{"q":"ok?"}}]'),
  checkpoint: null,
  state: null,
  result: null,
};
const interrupted: ThreadState = {
  values: asJsonText(`{"messages":[${MESSAGE}]}`),
  next: ["ask"],
  tasks: [task],
  metadata: asJsonText('{"source":"loop","step":0,"parents":{}}'),
  createdAt: "2026-11-22T01:20:22.984Z",
  checkpoint: { threadId: "01a200d7", checkpointNs: "", checkpointId: "1f1e612e-3bd7", checkpointMap: null },
  parentCheckpoint: { threadId: "01a200d7", checkpointNs: "", checkpointId: "1f1e612e-3bc8", checkpointMap: null },
};
const run: Run = {
  runId: "r",
  threadId: "t",
  assistantId: "a",
  graphId: "slow",
  createdAt: AT,
  updatedAt: AT,
  dueAt: AT,
  status: "pending",
  metadata: { k: 1 },
  kwargs: {
    input: { messages: [] },
    config: { configurable: { "x-foo": "bar", langgraph_auth_user: { token: "secret" } } },
    streamModes: ["values"],
    streamSubgraphs: false,
    streamResumable: true,
    durability: "async",
    temporary: false,
  },
  multitaskStrategy: "reject",
  attempt: 0,
  error: null,
};

describe("views", () => {
  test("select keeps named fields only", () => {
    const { view } = decodeThreadSearch({ select: ["status", "thread_id"] });
    expect(encodeThread(newThread, view)).toBe('{"status":"idle","thread_id":"01a200d7"}');
  });

  test("extract follows paths, null where they lead nowhere", () => {
    const thread = {
      ...newThread,
      values: toJsonText({ messages: [{ content: "a" }, { content: "b" }], n: { m: 0 } }),
    };
    const { view } = decodeThreadSearch({
      select: ["thread_id"],
      extract: {
        last: "values.messages[-1].content",
        first: "values.messages[0]",
        zero: "values.n.m",
        none: "values.messages[9].content",
        proto: "metadata.__proto__.x",
        all: "interrupts",
      },
    });
    expect(JSON.parse(encodeThread(thread, view))).toEqual({
      thread_id: "01a200d7",
      extracted: { last: "b", first: { content: "a" }, zero: 0, none: null, proto: null, all: null },
    });
  });

  test("one key of a state's values", () => {
    const { view } = decodeStateCheckpoint({ select: ["values.messages", "next"] });
    expect(encodeState(interrupted, view)).toBe(`{"next":["ask"],"values":{"messages":[${MESSAGE}]}}`);
  });

  test("nested states, and interrupts of all tasks at the top", () => {
    const parent: ThreadState = {
      ...interrupted,
      tasks: [
        { ...task, state: interrupted, interrupts: asJsonText("[]") },
        { ...task, interrupts: asJsonText('[{"value":1},{"value":2}]') },
        task,
      ],
    };
    const sent = JSON.parse(encodeState(parent)) as { tasks: { state: object | null }[]; interrupts: unknown[] };
    expect(sent.tasks[0]?.state).toEqual(JSON.parse(encodeState(interrupted)));
    expect(sent.interrupts).toEqual([{ value: 1 }, { value: 2 }, { id: "7dff", value: { q: "ok?" } }]);
    expect(joinArrays([])).toBe("[]");
  });

  test("subgraph schemas carry both key sets and graph_id (Appendix A18)", () => {
    const schema = { type: "object" };
    const sent = JSON.parse(
      encodeSubgraphs({
        child: {
          graphId: "g",
          inputSchema: schema,
          outputSchema: null,
          stateSchema: schema,
          configSchema: null,
          contextSchema: null,
        },
      }),
    ) as { child: object };
    expect(sent.child).toEqual({
      graph_id: "g",
      input_schema: schema,
      output_schema: null,
      state_schema: schema,
      config_schema: null,
      context_schema: null,
      state: schema,
      input: schema,
      output: null,
      config: null,
    });
  });
});

describe("bodies and errors", () => {
  test("NUL becomes U+FFFD, an escaped backslash before u0000 stays", () => {
    expect(parseBody('{"a\\u0000":"x\\u0000y","b":"\\\\u0000","c":"\\\\\\u0000"}')).toEqual({
      "a\ufffd": "x\ufffdy",
      b: "\\u0000",
      c: "\\\ufffd",
    });
  });

  test("server faults keep their inner text", () => {
    const fault = encodeError(new HeddleError("INTERNAL", { message: "password=hunter2" }), "req-1");
    expect(fault).toEqual({ status: 500, body: '{"detail":"Internal server error (request req-1)"}' });
    const busy = encodeError(new HeddleError("RUN_IN_FLIGHT"), "req-1");
    expect(busy.status).toBe(409);
    expect(busy.body).toContain("Thread is already running a task.");
  });
});
