import type { RunEventKind } from "../../core/run-event.js";
import { THREAD_CHANNELS } from "../../core/thread-event.js";
import { serialize } from "../streams/serialize.js";
import { isFields, textOf } from "../streams/shapes.js";
import type { EventWriter, Place } from "./event-writer.js";
import { normalizeMessages } from "./normalize-messages.js";
import type { OpenEvent } from "./transformers.js";

/** What an event is to a log that runs out of space; the rest is state. */
const KINDS: Readonly<Record<string, RunEventKind>> = {
  messages: "token",
  custom: "token",
  lifecycle: "control",
  "input.requested": "control",
};

const METHODS: ReadonlySet<string> = new Set([...THREAD_CHANNELS, "input.requested", "input.answered"]);

/** Serialise an event in the form of its channel (docs/wire/langgraph-api.md §4.4, §4.5). */
export function writeEvent(writer: EventWriter, { method, namespace, node, data }: OpenEvent): void {
  const place: Place = node === undefined ? { namespace } : { namespace, node };
  if (method === "custom") {
    writeCustom(writer, place, data);
    return;
  }
  if (!METHODS.has(method)) {
    // A channel of a transformer, or a method of its own.
    const name = method.startsWith("custom:") ? method.slice("custom:".length) : method;
    writer.at(`custom:${name}`, place).write(serialize({ name, payload: data ?? null }), "token");
    return;
  }
  if (method === "values" && isFields(data) && Object.keys(data).length === 0) return;
  const shown = method === "values" || method === "updates" ? normalizeMessages(data) : data;
  const isDelta = method === "tools" && isFields(data) && data["event"] === "tool-output-delta";
  writer.at(method, place).write(serialize(shown), isDelta ? "token" : (KINDS[method] ?? "state"));
}

/** What graph code wrote: an object with a name goes to the channel of that name. */
function writeCustom(writer: EventWriter, place: Place, data: unknown): void {
  const isNamed = isFields(data) && "name" in data;
  const name = isNamed ? textOf(data, "name") : undefined;
  const shown = isNamed ? data : { payload: data ?? null };
  writer.at(name === undefined ? "custom" : `custom:${name}`, place).write(serialize(shown), "token");
}
