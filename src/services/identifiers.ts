import { v5, v7 } from "uuid";
import { NAMESPACE_GRAPH } from "../core/ids.js";

/** A new id for a thread, run or assistant: UUIDv7, so that ids sort by creation time. */
export function newId(): string {
  return v7();
}

/** Id of a graph's system assistant (docs/wire/langgraph-api.md §5.6). */
export function systemAssistantId(graphId: string): string {
  return v5(graphId, NAMESPACE_GRAPH);
}

/** Id of the thread of a stateless run that every attempt of one idempotent request creates. @param attemptId of the run, a UUID */
export function threadIdOfAttempt(attemptId: string): string {
  return v5("thread", attemptId);
}
