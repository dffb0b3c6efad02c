import { z } from "zod";
import type { ThreadRunsEvent, ThreadRunsPosition } from "../core/thread-runs.js";
import { decode, invalid } from "./decode.js";
import { encodeState } from "./thread-state.js";
import type { Query } from "./query.js";
import { queryStrings } from "./schema.js";
import { toJsonText } from "./json.js";

/** What `GET /threads/{id}/stream` sends (docs/wire/langgraph-api.md §2.4.14). */
const MODES = ["run_modes", "lifecycle", "state_update"] as const;
export type ThreadStreamMode = (typeof MODES)[number];

/** OpenAPI and both SDKs name it differently. */
export const threadStreamQuery = z
  .object({ stream_mode: queryStrings, stream_modes: queryStrings, last_event_id: z.string() })
  .partial();

/**
 * @param header `Last-Event-ID`; it wins over the query, which is for clients that cannot send headers. `-` is the beginning,
 * otherwise strictly after it; none: from now on
 */
export function decodeThreadStream(query: Query, header: string | undefined) {
  const sent = decode(threadStreamQuery, query);
  const lastEventId = header ?? sent.last_event_id;
  const names = [...(sent.stream_mode ?? []), ...(sent.stream_modes ?? [])];
  const modes = names.map((name) => {
    const mode = MODES.find((known) => known === name);
    return mode ?? invalid("stream_mode", `unknown mode "${name}"; use one of ${MODES.join(", ")}`);
  });
  return {
    modes: new Set<ThreadStreamMode>(modes.length === 0 ? ["run_modes"] : modes),
    after: lastEventId === undefined ? null : positionOf(lastEventId),
  };
}

function positionOf(lastEventId: string): ThreadRunsPosition | "start" {
  if (lastEventId === "-" || lastEventId === "-1") return "start";
  const [, threadSeq, runSeq] = /^(\d{1,15})-(\d{0,15})$/.exec(lastEventId) ?? [];
  if (threadSeq === undefined) return invalid("Last-Event-ID", `expected "-" or an id of this stream`);
  return { threadSeq: Number(threadSeq), runSeq: runSeq === "" ? -1 : Number(runSeq) };
}

/**
 * A frame (§3.11), or `null` for what no mode shows. Events of runs are as in their own streams; a run's start and end are
 * `metadata` events with its status. The id is the position to resume from.
 */
export function encodeThreadStreamEvent(event: ThreadRunsEvent, modes: ReadonlySet<ThreadStreamMode>): string | null {
  switch (event.kind) {
    case "event":
      return frame(event.event.event, event.event.data, event.at);
    case "started":
      // In `run_modes` the run's own `metadata` says so.
      if (modes.has("run_modes") || !modes.has("lifecycle")) return null;
      return frame("metadata", toJsonText({ run_id: event.runId, status: "running" }), event.at);
    case "ended":
      if (!modes.has("run_modes") && !modes.has("lifecycle")) return null;
      return frame("metadata", toJsonText({ run_id: event.runId, status: event.status ?? "rollback" }), event.at);
    case "state":
      return frame("state_update", encodeState(event.state), event.at);
    default:
      throw new Error(`no frame for ${String(event satisfies never)}`);
  }
}

function frame(name: string, data: string, at: ThreadRunsPosition | null): string {
  const id = at === null ? "" : `id: ${at.threadSeq}-${at.runSeq < 0 ? "" : at.runSeq}\n`;
  return `event: ${name.replaceAll(/[\r\n]/g, "")}\ndata: ${data}\n${id}\n`;
}
