import { z } from "zod";
import { jsonObject } from "../../wire/schema.js";

/* What is answered, for the OpenAPI document (docs/wire/snapstate.md §1.1). */

const time = z.string().meta({ format: "date-time" });
const paths = z.array(z.string());

export const saved = z
  .object({
    checkpoint_id: z.string(),
    workflow_id: z.string(),
    step: z.int(),
    etag: z.string(),
    created_at: time,
    diff_from_previous: z.object({ added: paths, removed: paths, changed: paths }),
    size_bytes: z.int(),
  })
  .meta({ id: "SnapStateSaved" });

export const checkpoint = saved
  .extend({
    label: z.string().nullable(),
    state: jsonObject,
    metadata: jsonObject.nullable(),
    expires_at: time.nullable(),
  })
  .meta({ id: "SnapStateCheckpoint" });

export const resumed = z.object({
  workflow_id: z.string(),
  latest_checkpoint: checkpoint,
  total_checkpoints: z.int(),
  workflow_started_at: time,
  last_activity_at: time,
});

export const replayed = z.object({
  workflow_id: z.string(),
  checkpoints: z.array(checkpoint),
  total: z.int(),
  has_more: z.boolean(),
});

export const agent = z
  .object({
    id: z.string(),
    agent_id: z.string(),
    name: z.string(),
    description: z.string().nullable(),
    capabilities: z.array(z.string()),
    metadata: jsonObject,
    last_seen_at: time.nullable(),
    created_at: time,
  })
  .meta({ id: "SnapStateRegisteredAgent" });

export const agentList = z.object({ agents: z.array(agent) });

export const webhook = z.object({
  webhook_id: z.string(),
  url: z.string(),
  events: z.array(z.string()),
  created_at: time,
});

export const healthy = z.object({ status: z.string(), version: z.string(), uptime_seconds: z.int() }).loose();
export const ready = z.object({ status: z.string() });
