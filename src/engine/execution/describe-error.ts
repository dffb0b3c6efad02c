import { errorName, isHeddleError } from "../../core/errors.js";
import type { JsonText } from "../../core/json.js";
import { serialize } from "../streams/serialize.js";

/** What LangGraph's runner makes of a thrown primitive: it tries to set `pregelTaskId` on it (langgraph 1.7.3, retry.js). */
const THROWN_PRIMITIVE = /^Cannot create property 'pregelTaskId' on (string|number|boolean|bigint) '([^]*)'$/;

/** Also of another realm, and of classes that only inherit from Error. */
const isError = (value: unknown): value is Error =>
  value instanceof Error || Object.prototype.toString.call(value) === "[object Error]";

/** Class name of an error; of Heddle's own its code; else `name` where it says something, otherwise the name of its class. */
function classNameOf(error: Error): string {
  if (isHeddleError(error)) return errorName(error.code);
  const { name } = error;
  if (typeof name === "string" && name !== "" && name !== "Error") return name;
  return error.constructor?.name || "Error";
}

/**
 * What a client learns of a graph's exception: `{error: <class name>, message}`; for anything thrown that is not an error
 * the class is `Error` and the message its JSON (docs/wire/langgraph-api.md §3.5).
 */
export function describeError(thrown: unknown): JsonText {
  if (!isError(thrown)) return serialize({ error: "Error", message: serialize(withoutTaskId(thrown)) });
  const primitive = thrown instanceof TypeError ? THROWN_PRIMITIVE.exec(thrown.message) : null;
  if (primitive !== null) {
    const [, type, text = ""] = primitive;
    return serialize({ error: "Error", message: type === "string" ? serialize(text) : text });
  }
  const { message } = thrown as { readonly message: unknown };
  return serialize({ error: classNameOf(thrown), message: typeof message === "string" ? message : serialize(message) });
}

/** LangGraph marks what a node threw with the id of its task. */
function withoutTaskId(thrown: unknown): unknown {
  if (typeof thrown !== "object" || thrown === null || !("pregelTaskId" in thrown)) return thrown;
  const { pregelTaskId: _, ...rest } = thrown;
  return rest;
}

/**
 * A failed task's error as text, as tasks carry it (docs/wire/langgraph-api.md §2.2, §3.4 `tasks`). LangGraph holds
 * `{name, message}`.
 */
export function taskErrorText(error: unknown): string | null {
  if (error === null || error === undefined) return null;
  if (typeof error === "string") return error;
  if (typeof error === "object" && "message" in error) {
    const { name, message } = error as { readonly name?: unknown; readonly message: unknown };
    // LangGraph keeps name and message only: of a thrown value that is no error nothing is left.
    if (typeof message !== "string") return message === undefined ? "Error" : serialize(message);
    return typeof name === "string" && name !== "" ? `${name}: ${message}` : message;
  }
  return serialize(error);
}
