import { z } from "zod";
import type { JsonObject, JsonText } from "../core/json.js";
import { isJsonObject, parseJsonText } from "../core/json.js";
import type { CheckpointAddress, StateTask, ThreadState } from "../core/state.js";
import { beforeRef, checkpointOf, checkpointRef } from "./checkpoint.js";
import { decode, invalid, present } from "./decode.js";
import type { FieldEncoders } from "./json.js";
import { encodeFields, encodeList, joinArrays, quote, toJsonText } from "./json.js";
import type { Query } from "./query.js";
import {
  TRUE_WORDS,
  anyJson,
  checkpoint,
  jsonObject,
  limit,
  queryBoolean,
  queryInteger,
  queryStrings,
  text,
} from "./schema.js";
import { toStateUpdate } from "./state-update.js";

const FIELDS = [
  "values",
  "next",
  "tasks",
  "metadata",
  "created_at",
  "checkpoint",
  "parent_checkpoint",
  "interrupts",
] as const;
export type StateField = (typeof FIELDS)[number];

const ENCODERS: FieldEncoders<ThreadState, StateField> = {
  values: (state) => state.values,
  next: (state) => toJsonText(state.next),
  tasks: (state) => encodeList(state.tasks.map(encodeTask)),
  metadata: (state) => state.metadata ?? undefined,
  created_at: (state) => toJsonText(state.createdAt),
  checkpoint: (state) => encodeAddress(state.checkpoint),
  parent_checkpoint: (state) => encodeAddress(state.parentCheckpoint),
  interrupts: (state) => joinArrays(state.tasks.map((task) => task.interrupts)),
};

/** What of a state is returned: whole fields, and single keys of `values`. */
export interface StateView {
  readonly fields: readonly StateField[];
  /** Keys of `values`; `null` = all of them. */
  readonly valueKeys: readonly string[] | null;
}

/**
 * A state as clients know it (docs/wire/langgraph-api.md §2.2, ThreadState): all four keys of a checkpoint, and the
 * interrupts of all tasks once more at the top. Payloads are spliced in as the text they are.
 */
export function encodeState(state: ThreadState, view?: StateView): JsonText {
  if (view === undefined) return encodeFields(ENCODERS, state, FIELDS);
  if (view.valueKeys === null) return encodeFields(ENCODERS, state, view.fields);
  const rest = view.fields.filter((name) => name !== "values");
  return encodeFields(ENCODERS, state, rest, [["values", pickKeys(state.values, view.valueKeys)]]);
}

export function encodeStates(states: readonly ThreadState[], view?: StateView): JsonText {
  return encodeList(states.map((state) => encodeState(state, view)));
}

function pickKeys(values: JsonText, keys: readonly string[]): JsonText {
  const parsed = parseJsonText(values);
  if (!isJsonObject(parsed)) return values;
  const kept = keys.filter((key) => Object.hasOwn(parsed, key)).map((key) => [key, parsed[key]]);
  return toJsonText(Object.fromEntries(kept) as JsonObject);
}

function encodeTask(task: StateTask): string {
  return (
    `{"id":${quote(task.id)},"name":${quote(task.name)},"error":${task.error ?? "null"},` +
    `"interrupts":${task.interrupts},"path":${task.path},"checkpoint":${task.checkpoint ?? "null"},` +
    `"state":${task.state === null ? "null" : encodeState(task.state)},"result":${task.result ?? "null"}}`
  );
}

function encodeAddress(address: CheckpointAddress | null): string {
  if (address === null) return "null";
  return toJsonText({
    thread_id: address.threadId,
    checkpoint_id: address.checkpointId,
    checkpoint_ns: address.checkpointNs,
    checkpoint_map: address.checkpointMap,
  });
}

/** Answer of a state update: the new checkpoint's configurable, with the four keys that RemoteGraph reads (appendix C). */
export function encodeUpdated(configurable: JsonObject): JsonText {
  return toJsonText({ checkpoint: { checkpoint_map: null, ...configurable } });
}

export const stateQuery = z.object({ subgraphs: queryBoolean, select: queryStrings }).partial();

/** Query of `GET …/state` and `GET …/state/{checkpoint_id}` (§2.4.8). */
export function decodeStateQuery(query: Query, checkpointId: string | undefined) {
  const sent = decode(stateQuery, query);
  return {
    query: {
      subgraphs: sent.subgraphs ?? false,
      ...present({ checkpoint: checkpointId === undefined ? null : { checkpointId } }),
    },
    view: stateView(sent.select),
  };
}

/** A flag as a JSON boolean, or as the string that older clients send (§2.4.9, Appendix A7). */
const looseBoolean = z
  .union([z.boolean(), z.string().transform((value) => TRUE_WORDS.has(value))], { error: "expected a boolean" })
  .meta({ type: "boolean" });

const stateSelect = z.array(z.string());

export const stateCheckpointBody = z
  .object({ checkpoint: checkpoint.nullish(), subgraphs: looseBoolean.nullish(), select: stateSelect.nullish() })
  .meta({ id: "ThreadStateCheckpoint" });

export function decodeStateCheckpoint(body: unknown) {
  const sent = decode(stateCheckpointBody, body);
  return {
    query: { subgraphs: sent.subgraphs ?? false, ...present({ checkpoint: checkpointRef(sent.checkpoint) }) },
    view: stateView(sent.select),
  };
}

/** `select`: field names, or `values.<key>` for one state key (§2.1.8). */
function stateView(names: readonly string[] | null | undefined): StateView {
  if (names === undefined || names === null || names.length === 0) return { fields: FIELDS, valueKeys: null };
  const fields = new Set<StateField>();
  const valueKeys: string[] = [];
  for (const name of names) {
    const field = FIELDS.find((known) => known === name);
    if (field !== undefined) fields.add(field);
    else if (name.startsWith("values.") && name.length > 7) valueKeys.push(name.slice(7));
    else invalid("select", `unknown field "${name}"; use ${FIELDS.join(", ")} or values.<key>`);
  }
  const whole = fields.has("values") || valueKeys.length === 0;
  return { fields: [...fields], valueKeys: whole ? null : valueKeys };
}

export const stateUpdateBody = z
  .object({
    values: anyJson.optional(),
    as_node: text.nullish(),
    checkpoint: checkpoint.nullish(),
    checkpoint_id: text.nullish(),
  })
  .meta({ id: "ThreadStateUpdate" });

/** Body of `POST …/state` (§2.4.10). */
export function decodeStateUpdate(body: unknown) {
  const sent = decode(stateUpdateBody, body);
  const { values } = sent;
  if (values !== undefined && values !== null && typeof values !== "object") {
    invalid("values", "expected an object, an array of objects, or null");
  }
  return { update: toStateUpdate(sent), ...present({ checkpoint: checkpointOf(sent) }) };
}

export const historyQuery = z.object({ limit: queryInteger({ min: 1, max: 1000 }), before: text }).partial();

/** `GET …/history` (§2.4.11): 10 states unless told otherwise. */
export function decodeHistoryQuery(query: Query) {
  const sent = decode(historyQuery, query);
  return {
    query: { limit: sent.limit ?? 10, ...present({ before: beforeRef(sent.before) }) },
    view: stateView(null),
  };
}

export const historyBody = z
  .object({
    limit: limit.nullish(),
    before: anyJson.optional(),
    metadata: jsonObject.nullish(),
    checkpoint: checkpoint.nullish(),
    select: stateSelect.nullish(),
  })
  .meta({ id: "ThreadHistory" });

/** `POST …/history`: 1 state unless told otherwise, as on the Platform; SDKs always send `limit` (appendix B). */
export function decodeHistoryBody(body: unknown) {
  const sent = decode(historyBody, body);
  return {
    query: {
      limit: sent.limit ?? 1,
      ...present({
        before: beforeRef(sent.before),
        metadata: sent.metadata,
        checkpoint: checkpointRef(sent.checkpoint),
      }),
    },
    view: stateView(sent.select),
  };
}
