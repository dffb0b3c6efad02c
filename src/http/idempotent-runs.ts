import { HeddleError, isHeddleError } from "../core/errors.js";
import { MAX_IDEMPOTENCY_KEY_CHARS, type IdempotentAttempt } from "../core/idempotency.js";
import { type JsonText, type JsonValue, toJsonText } from "../core/json.js";
import type { RunRef } from "../core/run.js";
import { encodeRun } from "../wire/runs.js";
import { threadIdOfAttempt } from "../services/identifiers.js";
import type { AttachedRun, NewRunIds, RunsService } from "../services/runs.js";
import type { Exchange } from "./exchange.js";
import type { HttpDeps } from "./http-deps.js";

/** A repetition waits this long for the first request, which creates its run within milliseconds. */
const WAIT_MS = 10_000;
const HEADER = "Idempotency-Key";
const REPLAYED = "idempotent-replayed";

/** What a request to create a run asks for. */
interface RunCreation {
  /** `null`: the run is stateless. */
  readonly threadId: string | null;
  /** As it was sent. */
  readonly body: unknown;
}

/** A run that was created, now or by an earlier request with the same key. */
export interface CreatedOnce<Answer> {
  readonly run: RunRef;
  readonly answer: Answer;
  readonly isReplayed: boolean;
}

/** Says of an answer that nothing was done for it. */
export const replayedHeader = ({ isReplayed }: { readonly isReplayed: boolean }): Readonly<Record<string, string>> =>
  isReplayed ? { [REPLAYED]: "true" } : {};

/**
 * Create a run, once for all requests of this caller and path that have the same `Idempotency-Key` (docs/guides/idempotency.md).
 * @param create with the ids that the run must have, so that one that was created just before a crash is found
 * @throws HeddleError `INVALID_REQUEST` for a key that is none, or that came with another body; `RUN_IN_FLIGHT` when the first request is
 * still under way after {@link WAIT_MS}
 */
export async function createdOnce(
  exchange: Exchange,
  deps: HttpDeps,
  creation: RunCreation,
  create: (ids?: NewRunIds) => Promise<{ readonly run: RunRef; readonly answer: JsonText }>,
): Promise<CreatedOnce<JsonText>> {
  const key = exchange.header(HEADER);
  if (key === undefined) return { ...(await create()), isReplayed: false };
  if (key === "" || key.length > MAX_IDEMPOTENCY_KEY_CHARS) {
    throw new HeddleError("INVALID_REQUEST", {
      message: `${HEADER}: must have 1 to ${MAX_IDEMPOTENCY_KEY_CHARS} characters`,
    });
  }
  const { pathname } = new URL(exchange.request.url);
  const form = /\/(?:stream|wait)\/?$/.exec(pathname)?.[0] ?? "";
  const outcome = await deps.idempotency.run(
    {
      caller: exchange.caller,
      operation: `create_run ${creation.threadId ?? ""}${form}`,
      key,
      body: creation.body as JsonValue,
      waitMs: WAIT_MS,
    },
    async (attempt) => {
      const { run, answer } = await createdBy(attempt, { exchange, deps, creation }, create);
      const headers = { run: run.runId, thread: run.threadId };
      return { status: 200, headers, body: answer, store: true };
    },
  );
  if (outcome.kind === "mismatch") {
    throw new HeddleError("INVALID_REQUEST", {
      message: `${HEADER}: was used for another request body. A key stands for one request: use a new one`,
    });
  }
  if (outcome.kind === "in-flight") {
    throw new HeddleError("RUN_IN_FLIGHT", {
      message: `${HEADER}: the first request with this key is still being carried out. Try again`,
      details: { retryAfterMs: outcome.retryAfterMs },
    });
  }
  const { headers, body } = outcome.answer;
  const run = { runId: headers["run"] ?? "", threadId: headers["thread"] ?? "" };
  return { run, answer: body, isReplayed: outcome.replayed };
}

/** The same, and follow the run from its first event. */
export async function attachedOnce(
  exchange: Exchange,
  deps: HttpDeps,
  creation: RunCreation & {
    readonly request: Parameters<RunsService["attach"]>[2];
    readonly cancelOnDisconnect: boolean;
    readonly follow?: Parameters<RunsService["attach"]>[3];
  },
): Promise<{ readonly attached: AttachedRun; readonly isReplayed: boolean }> {
  const { threadId, request, cancelOnDisconnect, follow = {} } = creation;
  const { runs } = deps.services;
  if (exchange.header(HEADER) === undefined) {
    return { attached: await runs.attach(exchange.caller, threadId, request, follow), isReplayed: false };
  }
  let attached = null as AttachedRun | null;
  const created = await createdOnce(exchange, deps, creation, async (ids) => {
    attached = await runs.attach(exchange.caller, threadId, request, { ...follow, ...(ids !== undefined && { ids }) });
    return { run: attached.run, answer: toJsonText(null) };
  });
  if (attached !== null) return { attached, isReplayed: false };
  // What another request has created is joined, as by a client that was cut off.
  const joined = await runs.join(exchange.caller, created.run, "start", { ...follow, mayCancel: cancelOnDisconnect });
  return { attached: joined, isReplayed: true };
}

/** @throws HeddleError `UNSUPPORTED_OPTION` */
export function refuseIdempotencyKey(exchange: Exchange): void {
  if (exchange.header(HEADER) === undefined) return;
  throw new HeddleError("UNSUPPORTED_OPTION", {
    message: `${HEADER} is not supported for several runs at once: send them one by one`,
  });
}

async function createdBy(
  { id, isRepeated }: IdempotentAttempt,
  {
    exchange,
    deps,
    creation,
  }: { readonly exchange: Exchange; readonly deps: HttpDeps; readonly creation: RunCreation },
  create: Parameters<typeof createdOnce>[3],
): ReturnType<Parameters<typeof createdOnce>[3]> {
  const newThreadId = threadIdOfAttempt(id);
  if (isRepeated) {
    const ref = { threadId: creation.threadId ?? newThreadId, runId: id };
    const run = await deps.services.runs.get(exchange.caller, ref).catch((error: unknown) => {
      if (isHeddleError(error) && (error.code === "RUN_NOT_FOUND" || error.code === "THREAD_NOT_FOUND")) return null;
      throw error;
    });
    if (run !== null) return { run, answer: encodeRun({ ...run, status: "pending" }) };
  }
  return create({ runId: id, newThreadId });
}
