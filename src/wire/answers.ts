import { z } from "zod";
import type { AssistantField } from "./assistants.js";
import type { RunField } from "./runs.js";
import { anyJson, jsonObject } from "./schema.js";
import type { ThreadField } from "./threads.js";
import type { StateField } from "./thread-state.js";

/*
 * What clients get, for the OpenAPI document (docs/wire/langgraph-api.md §2.2). The encoders decide: a field that they have and a schema
 * has not, or the other way round, does not compile, and what they make is held against these schemas by the tests. Fields that are not
 * named here may come.
 */

const id = z.string().meta({ format: "uuid" });
const time = z.string().meta({ format: "date-time" });
const list = z.array(jsonObject);

const assistantFields = {
  assistant_id: id,
  version: z.int().min(1),
  config: jsonObject,
  context: anyJson,
  created_at: time,
  updated_at: time,
  graph_id: z.string(),
  metadata: jsonObject,
  name: z.string(),
  description: z.string().nullable(),
} satisfies Record<AssistantField, z.ZodType>;

const threadFields = {
  thread_id: id,
  created_at: time,
  updated_at: time,
  state_updated_at: time,
  metadata: jsonObject,
  status: z.enum(["idle", "busy", "interrupted", "error"]),
  config: jsonObject,
  values: anyJson.optional(),
  interrupts: jsonObject.optional(),
  error: anyJson.optional(),
  ttl: anyJson.optional(),
} satisfies Record<ThreadField, z.ZodType>;

const runFields = {
  run_id: id,
  thread_id: id,
  assistant_id: id,
  metadata: jsonObject,
  status: z.enum(["pending", "running", "success", "error", "timeout", "interrupted"]),
  kwargs: jsonObject,
  multitask_strategy: z.enum(["reject", "rollback", "interrupt", "enqueue"]),
  created_at: time,
  updated_at: time,
  langsmith_session_name: z.string().nullable().optional(),
} satisfies Record<RunField, z.ZodType>;

const checkpoint = z.looseObject({
  thread_id: id,
  checkpoint_id: z.string().nullish(),
  checkpoint_ns: z.string(),
  checkpoint_map: jsonObject.nullish(),
});

const stateFields = {
  values: anyJson,
  next: z.array(z.string()),
  tasks: list,
  metadata: jsonObject.optional(),
  created_at: time.nullable(),
  checkpoint: checkpoint.nullable(),
  parent_checkpoint: checkpoint.nullable(),
  interrupts: list,
} satisfies Record<StateField, z.ZodType>;

const itemFields = {
  namespace: z.array(z.string()),
  key: z.string(),
  value: jsonObject,
  created_at: time,
  updated_at: time,
  score: z.number().optional(),
};

const assistant = z.looseObject(assistantFields).meta({ id: "Assistant" });
const thread = z.looseObject(threadFields).meta({ id: "Thread" });
const run = z.looseObject(runFields).meta({ id: "Run" });
// With `select`, as all routes of a state have it.
const state = z.looseObject(stateFields).partial().meta({ id: "ThreadState" });
const item = z.looseObject(itemFields).meta({ id: "Item" });
const { updated_at: _, ...versionFields } = assistantFields;

/** Answers by what they are of. Those with `select` have only what was asked for. */
export const ANSWERS = {
  assistant,
  assistants: z.array(z.looseObject(assistantFields).partial().meta({ id: "SelectedAssistant" })),
  assistantVersions: z.array(z.looseObject(versionFields).meta({ id: "AssistantVersion" })),
  thread,
  threads: z.array(z.looseObject(threadFields).partial().meta({ id: "SelectedThread" })),
  run,
  createdRuns: z.array(run),
  runs: z.array(z.looseObject(runFields).partial().meta({ id: "SelectedRun" })),
  state,
  states: z.array(state),
  updatedState: z.looseObject({ checkpoint: jsonObject }).meta({ id: "UpdatedThreadState" }),
  itemOrNone: z.union([item, z.null()]),
  items: z.looseObject({ items: z.array(item) }).meta({ id: "Items" }),
  namespaces: z.looseObject({ namespaces: z.array(z.array(z.string())) }).meta({ id: "Namespaces" }),
  count: z.int().min(0),
  ok: z.looseObject({ ok: z.literal(true) }).meta({ id: "Ok" }),
  info: z
    .looseObject({ version: z.string(), langgraph_js_version: z.string().nullish(), flags: jsonObject })
    .meta({ id: "Info" }),
  streamTicket: z
    .looseObject({ ticket: z.string(), expires_at: time, thread_id: id.nullable() })
    .meta({ id: "StreamTicket" }),
} as const;
