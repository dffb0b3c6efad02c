import { isJsonObject } from "../core/json.js";
import type { CheckpointRef } from "../core/run.js";
import type { z } from "zod";
import { decode, invalid, present, unwrapConfigurable } from "./decode.js";
import { checkpoint as checkpointSchema } from "./schema.js";

/** A checkpoint reference as sent → as core knows it; `undefined` when it addresses nothing. */
export function checkpointRef(sent: z.output<typeof checkpointSchema> | null | undefined): CheckpointRef | undefined {
  if (sent === null || sent === undefined) return undefined;
  const ref: CheckpointRef = present({
    threadId: sent.thread_id,
    checkpointId: sent.checkpoint_id,
    checkpointNs: sent.checkpoint_ns,
    checkpointMap: sent.checkpoint_map,
  });
  return Object.keys(ref).length === 0 ? undefined : ref;
}

/**
 * `checkpoint` and the legacy `checkpoint_id` together.
 * @throws `INVALID_REQUEST` when they contradict each other
 */
export function checkpointOf(body: {
  readonly checkpoint?: z.output<typeof checkpointSchema> | null | undefined;
  readonly checkpoint_id?: string | null | undefined;
}): CheckpointRef | undefined {
  const ref = checkpointRef(body.checkpoint);
  const id = body.checkpoint_id;
  if (id === null || id === undefined) return ref;
  if (ref?.checkpointId !== undefined && ref.checkpointId !== id) {
    invalid("checkpoint_id", "contradicts checkpoint.checkpoint_id; send only one of them");
  }
  return { ...ref, checkpointId: id };
}

/**
 * `before` of a history request: a checkpoint id, a checkpoint reference, or a config that holds one
 * (docs/wire/langgraph-api.md §2.4.11).
 */
export function beforeRef(before: unknown): CheckpointRef | undefined {
  if (before === undefined || before === null) return undefined;
  if (typeof before === "string") return before === "" ? undefined : { checkpointId: before };
  if (!isJsonObject(before)) return invalid("before", "expected a checkpoint id, a checkpoint or a config");
  const ref = checkpointRef(decode(checkpointSchema, unwrapConfigurable(before)));
  if (ref?.checkpointId === undefined) return invalid("before", "has no checkpoint_id");
  return ref;
}
