import { ALL_ROWS } from "../core/auth.js";
import type { EventCursor } from "../core/event-log.js";
import { asJsonText, isJsonObject, parseJsonText, toJsonText } from "../core/json.js";
import type { JsonText, JsonValue } from "../core/json.js";
import { HeddleError, isHeddleError } from "../core/errors.js";
import type { Logger } from "../core/logger.js";
import type { MetadataStore } from "../core/metadata-store.js";
import type { Run, RunKwargs } from "../core/run.js";
import { isLastEvent } from "./followed-cursor.js";
import type { RunEndings } from "./run-endings.js";

/** What following a run needs to know of it. */
export type FollowedRun = Pick<Run, "runId" | "threadId" | "status" | "error"> & {
  readonly kwargs: Pick<RunKwargs, "streamModes" | "temporary"> & Partial<Pick<RunKwargs, "streamResumable">>;
};

/**
 * What `wait` and `join` answer (docs/wire/langgraph-api.md §2.6.2): the error, else the last `values` event, else what
 * the thread holds; with `__feedback__` when the run asked for it and that is an object. Reads the cursor to its end and
 * closes it. When the log fails or is lost, the run's row says when it has ended.
 * @param signal rejects with its reason when the client has left
 * @throws `EVENTS_GONE` when a stateless run's result was lost with its log, `SHUTTING_DOWN` when the server closes first
 */
export async function runResult(params: {
  readonly store: MetadataStore;
  readonly endings: RunEndings;
  readonly logger: Pick<Logger, "warn">;
  /** Aborted when the server closes. */
  readonly closing?: AbortSignal;
  readonly run: FollowedRun;
  readonly cursor: EventCursor | null;
  readonly signal?: AbortSignal;
}): Promise<JsonText> {
  const { store, run, cursor } = params;
  const streamed = cursor === null ? NOTHING : await streamedResult({ ...params, cursor });
  if (run.kwargs.temporary && (!streamed.isComplete || streamed.isLost)) {
    throw new HeddleError("EVENTS_GONE", { message: "The result of this stateless run is no longer kept." });
  }
  const result = streamed.result ?? (run.kwargs.temporary ? asJsonText("null") : await storedResult(store, run));
  return streamed.feedback === null ? result : withFeedback(result, streamed.feedback);
}

/** What a cursor gave; `null` for what was not among it. */
interface Streamed {
  /** The error or the last `values`. */
  readonly result: JsonText | null;
  readonly feedback: JsonText | null;
  /** It was read up to the run's last event. */
  readonly isComplete: boolean;
  /** State is missing before its end. */
  readonly isLost: boolean;
}

const NOTHING: Streamed = { result: null, feedback: null, isComplete: false, isLost: false };

async function streamedResult(params: Parameters<typeof runResult>[0] & { readonly cursor: EventCursor }) {
  const { run, cursor, endings, logger, signal, closing } = params;
  try {
    const streamed = await lastResult(cursor, signal);
    if (streamed.isComplete || closing?.aborted !== true) return streamed;
  } catch (error) {
    if (signal?.aborted === true || (isHeddleError(error) && error.code === "SHUTTING_DOWN")) throw error;
    logger.warn(
      { err: error, runId: run.runId, threadId: run.threadId },
      "the event log failed; looking at the run itself",
    );
  }
  await endings.ended(run, signal);
  return NOTHING;
}

async function lastResult(cursor: EventCursor, signal: AbortSignal | undefined): Promise<Streamed> {
  let result: JsonText | null = null;
  let feedback: JsonText | null = null;
  let isComplete = false;
  let isLost = false;
  try {
    for (;;) {
      const read = await cursor.next(signal);
      // Cut short, the last state of a log need not be the run's.
      if (read.kind === "end")
        return isComplete ? { result, feedback, isComplete, isLost: isLost && result === null } : NOTHING;
      // State that was streamed before it may be older than what is missing.
      if (read.kind === "gap" && read.lost === "state") {
        result = null;
        isLost = true;
      }
      for (const event of read.kind === "events" ? read.events : []) {
        const { data } = event;
        if (event.event === "values") result = data;
        else if (event.event === "feedback") feedback = data;
        else if (event.event === "error") {
          return { result: asJsonText(`{"__error__":${data}}`), feedback: null, isComplete: true, isLost: false };
        }
        isComplete = isLastEvent(event);
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
