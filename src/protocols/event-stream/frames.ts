import type { JsonText } from "../../core/json.js";
import type { RunEvent } from "../../core/run-event.js";
import { isSnapshot } from "../../services/thread-cursor.js";
import { quote } from "../../wire/json.js";
import type { ProtocolErrorCode } from "./protocol-errors.js";

/** Frames of the protocol as text (docs/wire/langgraph-api.md §4.2). Payloads are spliced in as they are. */

/** @param appliedThroughSeq `null`: not known */
export function successFrame(answer: {
  readonly id: number;
  readonly result: JsonText;
  readonly threadId: string;
  readonly appliedThroughSeq: number | null;
}): string {
  const { id, result, threadId, appliedThroughSeq } = answer;
  const applied = appliedThroughSeq === null ? "" : `,"applied_through_seq":${appliedThroughSeq}`;
  return `{"type":"success","id":${id},"result":${result},"meta":{"thread_id":${quote(threadId)}${applied}}}`;
}

/** @param id `null` when the command could not be read */
export function errorFrame(id: number | null, error: ProtocolErrorCode, message: string): string {
  return `{"type":"error","id":${id},"error":"${error}","message":${quote(message)}}`;
}

/** An event of a thread's log; on the wire numbers begin at 1. A snapshot has an id and no number. */
export function eventFrame(event: RunEvent): string {
  const method = methodOf(event.event);
  if (isSnapshot(event)) {
    return `{"type":"event","event_id":${quote(event.eventId)},"method":"${method}","params":${event.data}}`;
  }
  const seq = event.seq + 1;
  const eventId = event.event === "lifecycle" ? rootLifecycleId(seq, event.data) : seq;
  // Concatenated, not templated: it is done for every event and reader.
  return (
    '{"type":"event","event_id":"' +
    eventId +
    '","seq":' +
    seq +
    ',"method":"' +
    method +
    '","params":' +
    event.data +
    "}"
  );
}

/**
 * Which run begins or ends, clients read from the id of the event: `synth:<run id>:<anything>` (@langchain/langgraph-sdk
 * 1.15.0, `stream/controller.ts`). Without it they take the replayed end of an earlier run for that of the one they started,
 * and cannot stop a run that an answer to an interrupt started.
 */
function rootLifecycleId(seq: number, params: string): string {
  const runId = /"run_id":"([^"]+)"\}$/.exec(params)?.[1];
  return runId === undefined ? String(seq) : `synth:${runId}:${seq}`;
}

/** The same as a server-sent event: `event`, `data`, and `id` where it is a position to resume from (§4.6). */
export function sseEventFrame(event: RunEvent): string {
  const head = "event: " + methodOf(event.event) + "\ndata: " + eventFrame(event);
  return isSnapshot(event) ? head + "\n\n" : head + "\nid: " + (event.seq + 1) + "\n\n";
}

/** `messages|a:1` → `messages`; `custom:name` → `custom`. */
function methodOf(event: string): string {
  const end = event.indexOf("|");
  const name = end === -1 ? event : event.slice(0, end);
  return name.startsWith("custom:") ? "custom" : name;
}
