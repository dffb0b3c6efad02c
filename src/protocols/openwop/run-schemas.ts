import { z } from "zod";

/* Bodies and answers of runs, for the OpenAPI document (docs/wire/openwop.md §3.2); create-body.ts and the routes decode. */

const anyObject = z.record(z.string(), z.json());

export const createBody = z
  .strictObject({
    workflowId: z.string().min(1).max(512),
    inputs: anyObject.optional(),
    tenantId: z.string().min(1).max(512).optional(),
    scopeId: z.string().min(1).max(512).optional(),
    callbackUrl: z.string().min(1).max(512).optional(),
    configurable: anyObject.optional(),
    tags: z.array(z.string().max(256)).max(100).optional(),
    metadata: anyObject.optional(),
  })
  .meta({ id: "OpenwopCreateRun" });

export const cancelBody = anyObject.meta({ id: "OpenwopCancel" });
export const bulkCancelBody = z
  .looseObject({ runIds: z.array(z.string().min(1)).min(1).max(100) })
  .meta({ id: "OpenwopBulkCancel" });
export const pauseBody = z
  .strictObject({
    reason: z.string().optional(),
    drainPolicy: z.enum(["immediate", "drain-current-node"]).optional(),
  })
  .meta({ id: "OpenwopPause" });
export const forkBody = z
  .strictObject({
    mode: z.enum(["replay", "branch"]),
    fromSeq: z.int().min(0).optional(),
    runOptionsOverlay: anyObject.optional(),
  })
  .meta({ id: "OpenwopFork" });

export const eventsQuery = z.object({ streamMode: z.string().optional(), bufferMs: z.string().optional() });
export const pollQuery = z.object({ lastSequence: z.string().optional(), timeout: z.string().optional() });

const links = { eventsUrl: z.string(), statusUrl: z.string() };
const status = z.string();

export const created = z.object({ runId: z.string(), status, ...links }).meta({ id: "OpenwopCreatedRun" });
export const forked = created
  .extend({ sourceRunId: z.string(), fromSeq: z.int(), mode: z.string() })
  .meta({ id: "OpenwopForkedRun" });
export const standing = z.looseObject({ runId: z.string(), status }).meta({ id: "OpenwopRunStatus" });
export const bulkCancelled = z
  .object({ results: z.array(z.looseObject({ runId: z.string(), ok: z.boolean() })) })
  .meta({ id: "OpenwopBulkCancelled" });

const event = z
  .object({
    eventId: z.string(),
    runId: z.string(),
    type: z.string(),
    payload: z.json(),
    timestamp: z.string(),
    sequence: z.int(),
    nodeId: z.string().optional(),
    causationId: z.string().optional(),
  })
  .meta({ id: "OpenwopEvent" });
export const polled = z.object({ events: z.array(event), isComplete: z.boolean() }).meta({ id: "OpenwopEvents" });
export const snapshot = z
  .looseObject({ runId: z.string(), workflowId: z.string(), status, nodeStates: anyObject, variables: anyObject })
  .meta({ id: "OpenwopRunSnapshot" });
