import { z } from "zod";
import type { EventPosition } from "../../core/event-log.js";
import { isJsonObject } from "../../core/json.js";
import type { JsonObject } from "../../core/json.js";
import type { ThreadEventFilter } from "../../core/thread-event.js";
import { THREAD_CHANNELS } from "../../core/thread-event.js";
import { decode, present } from "../../wire/decode.js";
import { jsonObject } from "../../wire/schema.js";

const channel = z.string().refine(isChannel, {
  error: `expected one of ${THREAD_CHANNELS.join(", ")}, or custom:<name>`,
});
export const namespace = z.array(z.string());

function isChannel(name: string): boolean {
  return THREAD_CHANNELS.some((known) => known === name) || (name.startsWith("custom:") && name.length > 7);
}

const filterFields = {
  channels: z.array(channel).min(1),
  namespaces: z.array(namespace).nullish(),
  depth: z.int().min(0).nullish(),
};

/** Body of `POST …/stream/events` (docs/wire/langgraph-api.md §4.6). */
export const eventStreamBody = z
  .object({ ...filterFields, since: z.int().min(0).nullish() })
  .meta({ id: "EventStreamRequest" });

/** Body of `POST …/commands` (§4.2). */
export const commandBody = z
  .object({ id: z.int().min(0), method: z.string(), params: jsonObject.nullish() })
  .meta({ id: "ProtocolCommand" });

/** What a command is refused with (§4.2). */
export const errorFrameBody = z
  .object({ type: z.literal("error"), id: z.int().nullable(), error: z.string(), message: z.string() })
  .meta({ id: "ProtocolError" });

const subscribeParams = z.object(filterFields);

/** @param lastEventId wins over `since`: it is what the client has seen last */
export function decodeEventStream(
  body: unknown,
  lastEventId: string | undefined,
): { readonly filter: ThreadEventFilter; readonly position: EventPosition } {
  const sent = decode(eventStreamBody, body);
  const since = lastEventId !== undefined && /^\d{1,15}$/.test(lastEventId) ? Number(lastEventId) : (sent.since ?? 0);
  return { filter: filterOf(sent), position: positionAfter(since) };
}

/** Strictly after a number of the wire; 0 is the start. */
export function positionAfter(seq: number): EventPosition {
  return seq <= 0 ? "start" : { afterSeq: seq - 1 };
}

/** @throws HeddleError `INVALID_REQUEST` */
export function decodeFilter(params: JsonObject): ThreadEventFilter {
  return filterOf(decode(subscribeParams, params));
}

function filterOf(sent: z.output<typeof subscribeParams>): ThreadEventFilter {
  const { channels, namespaces, depth } = sent;
  return {
    channels: [...new Set(channels)],
    ...present({ namespaces: namespaces?.length === 0 ? null : namespaces, depth }),
  };
}

export interface Command {
  readonly id: number;
  readonly method: string;
  readonly params: JsonObject;
}

/** @returns what is wrong with it, when it is no command */
export function readCommand(value: unknown): Command | string {
  const wrong = "Protocol commands must include an integer id and string method.";
  if (!isJsonObject(value)) return wrong;
  const { id, method, params } = value;
  if (typeof id !== "number" || !Number.isSafeInteger(id) || id < 0 || typeof method !== "string") return wrong;
  if (params !== undefined && params !== null && !isJsonObject(params)) return "params: expected an object.";
  return { id, method, params: params ?? {} };
}
