import type { Idempotency, IdempotentAnswer, IdempotentAttempt } from "../../core/idempotency.js";
import { MAX_IDEMPOTENCY_KEY_CHARS } from "../../core/idempotency.js";
import type { JsonObject, JsonValue } from "../../core/json.js";
import { isJsonObject, parseJsonText, toJsonText } from "../../core/json.js";
import type { Exchange } from "../../http/exchange.js";
import { newId } from "../../services/identifiers.js";
import { invalid } from "./errors.js";
import { textOf } from "./event.js";
import { OpenwopRefusal } from "./seams.js";

/** What an operation answers. */
export interface OperationAnswer {
  readonly status: number;
  readonly body: JsonObject;
  /** Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
}

const REPLAY_HEADER = "openwop-idempotent-replay";
/** Refusals that would be the same again: what is not there, has been answered, or is over. */
const STORED_REFUSALS: ReadonlySet<number> = new Set([404, 409, 410]);

/**
 * Carry out an operation, once for each `Idempotency-Key` (docs/wire/openwop.md §3.2 Idempotency-Key): the answer is kept when it is final,
 * a success or a refusal that would be the same again.
 * @param operation with the ids that its path has
 * @param execute what it creates is called by the attempt's id: a repetition after a crash finds it
 * @throws OpenwopRefusal `validation_error`, `idempotency_key_mismatch`, `idempotency_in_flight`, and what `execute` throws
 */
export async function idempotent(
  exchange: Exchange,
  { idempotency }: { readonly idempotency: Idempotency },
  operation: string,
  body: JsonValue,
  execute: (attempt: IdempotentAttempt) => Promise<OperationAnswer>,
): Promise<Response> {
  const key = exchange.header("idempotency-key");
  if (key === undefined) {
    const { status, body: said, headers } = await execute({ id: newId(), isRepeated: false });
    return exchange.json(toJsonText(said), headers, status);
  }
  if (key === "" || key.length > MAX_IDEMPOTENCY_KEY_CHARS) {
    throw invalid(`Idempotency-Key must have 1 to ${MAX_IDEMPOTENCY_KEY_CHARS} characters`);
  }
  const request = { caller: exchange.caller, operation: `openwop ${operation}`, key, body };
  const outcome = await idempotency.run(request, (attempt) => finalAnswer(() => execute(attempt)));
  if (outcome.kind === "mismatch") {
    const message = "This Idempotency-Key was used with another body";
    throw new OpenwopRefusal({ status: 409, code: "idempotency_key_mismatch", message });
  }
  if (outcome.kind === "in-flight") {
    const { retryAfterMs } = outcome;
    throw new OpenwopRefusal({
      status: 409,
      code: "idempotency_in_flight",
      message: "The first request with this Idempotency-Key is being carried out",
      details: { retryAfterMs },
      headers: { "retry-after": String(Math.max(1, Math.ceil(retryAfterMs / 1_000))) },
    });
  }
  const { answer, replayed } = outcome;
  const headers = { ...answer.headers, ...(replayed && { [REPLAY_HEADER]: "true" }) };
  // In the words of whichever major is asked.
  if (answer.status >= 400) throw refusalOf({ ...answer, headers });
  return exchange.json(answer.body, headers, answer.status);
}

async function finalAnswer(
  execute: () => Promise<OperationAnswer>,
): Promise<IdempotentAnswer & { readonly store: boolean }> {
  try {
    const { status, body, headers = {} } = await execute();
    return { status, body: toJsonText(body), headers, store: true };
  } catch (error) {
    // One that says when to try again is not final.
    const isFinal =
      error instanceof OpenwopRefusal && STORED_REFUSALS.has(error.status) && !("retry-after" in error.headers);
    if (!isFinal) throw error;
    const { status, code, message, details, headers } = error;
    const body = toJsonText({ error: code, message, ...(details === undefined ? {} : { details }) });
    return { status, body, headers, store: true };
  }
}

/** A refusal that was kept. */
function refusalOf({ status, body, headers }: IdempotentAnswer): OpenwopRefusal {
  const value = parseJsonText(body);
  const said = isJsonObject(value) ? value : {};
  const { details } = said;
  return new OpenwopRefusal({
    status,
    code: textOf(said, "error"),
    message: textOf(said, "message"),
    ...(isJsonObject(details) && { details }),
    headers,
  });
}
