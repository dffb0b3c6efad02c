import type { LoggedEvent } from "./event.js";
import { invalid } from "./errors.js";
import { payloadOf } from "./event.js";
import { OpenwopRefusal } from "./seams.js";

const MODES = ["updates", "values", "messages", "debug"] as const;
export type OpenwopStreamMode = (typeof MODES)[number];

/** What a stream shows. */
export interface StreamView {
  readonly modes: ReadonlySet<OpenwopStreamMode>;
  /** 0: each event by itself. */
  readonly bufferMs: number;
}

const MAX_BUFFER_MS = 5_000;
/** What `updates` leaves out. */
const DETAILS: ReadonlySet<string> = new Set([
  "node.started",
  "node.retried",
  "variable.changed",
  "version.pinned",
  "log.appended",
]);

/** @throws OpenwopRefusal `unsupported_stream_mode`, `validation_error` */
export function decodeView(query: URLSearchParams): StreamView {
  const asked = query.get("streamMode");
  const names = asked === null ? ["updates"] : asked.split(",");
  const modes = names.map((name) => MODES.find((mode) => mode === name));
  const known = modes.filter((mode) => mode !== undefined);
  const set = new Set(known);
  if (known.length < modes.length || (set.has("values") && set.size > 1)) {
    throw new OpenwopRefusal({
      status: 400,
      code: "unsupported_stream_mode",
      message: `streamMode must be values alone, or a list of updates, messages and debug; not "${asked}".`,
      details: { supported: MODES },
    });
  }
  return { modes: set, bufferMs: wholeOf(query, "bufferMs", { min: 0, max: MAX_BUFFER_MS }) ?? 0 };
}

/** A whole number of the query. @throws OpenwopRefusal `validation_error` */
export function wholeOf(
  query: URLSearchParams,
  name: string,
  { min, max }: { readonly min: number; readonly max: number },
): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  const value = /^-?\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  const upper = max === Number.MAX_SAFE_INTEGER ? "" : ` to ${max}`;
  throw invalid(`${name} must be a whole number from ${min}${upper}; not "${text}".`);
}

/** Whether a stream has this event. */
export function shows(modes: ReadonlySet<OpenwopStreamMode>, { type }: Pick<LoggedEvent, "type">): boolean {
  if (modes.has("debug")) return true;
  if (modes.has("messages") && type === "output.chunk") return true;
  return modes.has("updates") && !DETAILS.has(type) && !type.startsWith("lease.");
}

/** As it is shown: tokens are messages to who asked for messages. */
export function viewed(modes: ReadonlySet<OpenwopStreamMode>, event: LoggedEvent): LoggedEvent {
  if (event.type !== "output.chunk" || !modes.has("messages")) return event;
  return { ...event, type: "ai.message.chunk" as LoggedEvent["type"], payload: { ...payloadOf(event), meta: {} } };
}
