import type { JsonObject, JsonValue } from "../../../src/core/json.js";
import { isJsonObject } from "../../../src/core/json.js";
import { parseThreadEvent } from "../../../src/core/thread-event.js";
import { type Executed, execute, type Frame, harness, type RunParams } from "../harness.js";
import { hello } from "./graphs.js";

/** Run a graph with the thread's events, and the run's own. */
export async function record(
  graph: unknown,
  params: Partial<RunParams> = {},
  options: Parameters<typeof execute>[2] = {},
): Promise<Executed> {
  const { engine } = await harness({ graph });
  return execute(engine, { graphId: "graph", input: hello, ...params }, { threadEvents: true, ...options });
}

/** Ids of tasks are different each time. */
export const nameOf = (segment: string): string => segment.split(":", 1)[0] ?? "";

/** `lifecycle started` at `a/b`, and so on: method, kind of event, place. */
export function outline(events: readonly Frame[]): readonly string[] {
  return events.map((frame) => {
    const { method, namespace } = parseThreadEvent(frame.event);
    const data = dataOf(frame);
    const kind = isJsonObject(data) && typeof data["event"] === "string" ? ` ${data["event"]}` : "";
    const place = namespace.map(nameOf).join("/");
    return `${method}${kind}${place === "" ? "" : ` @${place}`}`;
  });
}

export function dataOf({ data }: Frame): JsonValue {
  return (data as JsonObject)["data"] ?? null;
}

/** `params.data` of all events of a method. */
export function of(run: Executed, method: string): readonly JsonObject[] {
  return run.thread
    .filter(({ event }) => parseThreadEvent(event).method === method)
    .map((frame) => dataOf(frame) as JsonObject);
}
