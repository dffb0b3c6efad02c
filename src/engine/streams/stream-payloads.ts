import { taskErrorText } from "../execution/describe-error.js";
import { isCallerKey, isInternalKey } from "../execution/run-config.js";
import { isFields } from "./shapes.js";

/** A task's start or end, as mode `tasks` and `debug` show it: a failed one has its error as text and no result (§3.4). */
export function taskPayload(payload: unknown): unknown {
  if (!isFields(payload) || !("error" in payload)) return payload;
  if (payload["error"] === null || payload["error"] === undefined) return payload;
  const { id, name, interrupts, error } = payload;
  return { id, name, interrupts, error: taskErrorText(error) };
}

/**
 * The light `{id, parent_id?, step, source}` that LangGraph streams as `checkpoints` before `values`, beside the checkpoint
 * itself (Appendix A19).
 */
export function isCheckpointEnvelope(payload: unknown): boolean {
  return isFields(payload) && typeof payload["id"] === "string" && !("values" in payload) && !("config" in payload);
}

/** LangGraph's debug event `{step, type, timestamp, payload}` (§3.4 `debug`). */
export function debugPayload(event: unknown): unknown {
  if (!isFields(event)) return event;
  const payload = event["type"] === "checkpoint" ? checkpointPayload(event["payload"]) : taskPayload(event["payload"]);
  return { ...event, payload };
}

/** A checkpoint as mode `checkpoints` and `debug` show it: references instead of configs with inner keys (§3.4 `debug`). */
export function checkpointPayload(payload: unknown): unknown {
  if (!isFields(payload)) return payload;
  const { parentConfig, ...rest } = payload;
  return {
    ...rest,
    config: publicConfig(payload["config"]),
    tasks: Array.isArray(payload["tasks"]) ? payload["tasks"].map(checkpointTask) : [],
    checkpoint: reference(payload["config"]),
    parent_checkpoint: reference(parentConfig),
    parent_config: publicConfig(parentConfig),
  };
}

function checkpointTask(task: unknown): unknown {
  if (!isFields(task)) return task;
  const checkpoint = reference(task["state"]);
  const error = taskErrorText(task["error"]);
  if (checkpoint === null) return error === null ? task : { ...task, error };
  const { state: _, ...rest } = task;
  return { ...rest, ...(error === null ? {} : { error }), checkpoint };
}

function reference(config: unknown): unknown {
  const configurable = isFields(config) ? config["configurable"] : undefined;
  if (!isFields(configurable) || !configurable["thread_id"]) return null;
  return {
    thread_id: configurable["thread_id"],
    checkpoint_ns: configurable["checkpoint_ns"] || "",
    checkpoint_id: configurable["checkpoint_id"] || null,
    checkpoint_map: configurable["checkpoint_map"] || null,
  };
}

function publicConfig(config: unknown): unknown {
  if (!isFields(config)) return undefined;
  const { callbacks: _, ...rest } = config;
  const configurable = config["configurable"];
  if (!isFields(configurable)) return rest;
  return {
    ...rest,
    configurable: Object.fromEntries(
      Object.entries(configurable).filter(([key]) => !isInternalKey(key) && !isCallerKey(key)),
    ),
  };
}
