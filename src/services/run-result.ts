import { ALL_ROWS } from "../core/auth.js";
import type { EventCursor } from "../core/event-log.js";
import { asJsonText, isJsonObject, parseJsonText, toJsonText } from "../core/json.js";
import type { JsonText, JsonValue } from "../core/json.js";
import type { MetadataStore } from "../core/metadata-store.js";
import type { Run, RunKwargs } from "../core/run.js";

/** What following a run needs to know of it. */
export type FollowedRun = Pick<Run, "runId" | "threadId" | "status" | "error"> & {
  readonly kwargs: Pick<RunKwargs, "streamModes" | "temporary">;
};

/**
 * What `wait` and `join` answer (docs/wire/langgraph-api.md §2.6.2): the error, else the last `values` event, else what
 * the thread holds; with `__feedback__` when the run asked for it and that is an object. Reads the cursor to its end and
 * closes it.
 * @param signal rejects with its reason when the client has left
 */
export async function runResult(params: {
  readonly store: MetadataStore;
  readonly run: FollowedRun;
  readonly cursor: EventCursor | null;
  readonly signal?: AbortSignal;
}): Promise<JsonText> {
  const { store, run, cursor } = params;
  const streamed = cursor === null ? NOTHING : await lastResult(cursor, params.signal);
  const result = streamed.result ?? (run.kwargs.temporary ? asJsonText("null") : await storedResult(store, run));
  return streamed.feedback === null ? result : withFeedback(result, streamed.feedback);
}

/** What a cursor gave; `null` for what was not among it. */
interface Streamed {
  /** The error or the last `values`. */
  readonly result: JsonText | null;
  readonly feedback: JsonText | null;
}

const NOTHING: Streamed = { result: null, feedback: null };

async function lastResult(cursor: EventCursor, signal: AbortSignal | undefined): Promise<Streamed> {
  let result: JsonText | null = null;
  let feedback: JsonText | null = null;
  try {
    for (;;) {
      const read = await cursor.next(signal);
      if (read.kind === "end") return { result, feedback };
      for (const { event, data } of read.kind === "events" ? read.events : []) {
        if (event === "values") result = data;
        else if (event === "feedback") feedback = data;
        else if (event === "error") return { result: asJsonText(`{"__error__":${data}}`), feedback: null };
      }
    }
  } finally {
    cursor.close();
  }
}

function withFeedback(result: JsonText, feedback: JsonText): JsonText {
  const values = parseJsonText(result);
  return isJsonObject(values) ? toJsonText({ ...values, __feedback__: parseJsonText(feedback) }) : result;
}

async function storedResult(store: MetadataStore, run: FollowedRun): Promise<JsonText> {
  const ended = await store.runs.get({ runId: run.runId, threadId: run.threadId, access: ALL_ROWS });
  if (ended?.error) return asJsonText(`{"__error__":${ended.error}}`);
  const thread = await store.threads.get({ threadId: run.threadId, access: ALL_ROWS });
  if (thread === null || thread.values === null) return asJsonText("null");
  if (thread.status !== "interrupted" || thread.interrupts === null) return thread.values;
  const values = parseJsonText(thread.values);
  const interrupts = Object.values(parseJsonText(thread.interrupts) ?? {}).flat() as JsonValue[];
  return isJsonObject(values) ? toJsonText({ ...values, __interrupt__: interrupts }) : thread.values;
}
