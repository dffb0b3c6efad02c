import { z } from "zod";
import { webhookBody as webhookBody1 } from "../webhooks.js";
import { configurableBody } from "./configurable.js";

const runId = z.string().regex(/^.+\/[^/]+$/, "must be <tenant>/<id>");
const status = z.string();
const seconds = z.string().regex(/^\d+$/);

export const createBody = z
  .strictObject({
    workflowId: z.string().min(1),
    inputs: z.record(z.string(), z.json()).optional(),
    tenantId: z.string().optional(),
    scopeId: z.string().optional(),
    callbackUrl: z.string().optional(),
    configurable: configurableBody.optional(),
    tags: z.array(z.string().max(256)).max(100).optional(),
    metadata: z.record(z.string(), z.json()).optional(),
  })
  .meta({ id: "OpenwopCreateRun2" });
export const created = z
  .object({ runId, status, eventsUrl: z.string(), statusUrl: z.string() })
  .meta({ id: "OpenwopCreatedRun2" });
export const forkBody = z
  .strictObject({
    mode: z.enum(["replay", "branch"]),
    fromSeq: z.int().min(0).optional(),
    runOptionsOverlay: z.record(z.string(), z.json()).optional(),
  })
  .meta({ id: "OpenwopFork2" });
export const forked = created
  .extend({ sourceRunId: runId, fromSeq: z.int(), mode: z.string() })
  .meta({ id: "OpenwopForkedRun2" });

const subject = z.object({
  issuer: z.string(),
  subjectId: z.string(),
  tenant: z.string(),
  lane: z.string(),
  kind: z.string(),
});
export const snapshot = z
  .object({
    runId,
    workflowId: z.string(),
    status,
    owner: z.object({ tenant: z.string(), subject }),
    eventLogSchemaVersion: z.literal(3),
    engineVersion: z.int(),
  })
  .loose()
  .meta({ id: "OpenwopRunSnapshot2" });
const event = z
  .object({
    eventId: z.string(),
    runId,
    type: z.string(),
    payload: z.json(),
    timestamp: z.string(),
    sequence: z.int(),
    schemaVersion: z.int(),
    engineVersion: z.int(),
  })
  .loose()
  .meta({ id: "OpenwopRunEvent2" });
export const polled = z
  .object({ runId, events: z.array(event), lastSequence: z.int(), status, isTerminal: z.boolean() })
  .meta({ id: "OpenwopPolledEvents2" });

export const eventsQuery = z.object({ streamMode: z.string().optional(), bufferMs: seconds.optional() });
export const pollQuery = z.object({
  afterSequence: z
    .string()
    .regex(/^-?\d+$/)
    .optional(),
  timeout: seconds.optional(),
});

export const webhookBody = webhookBody1.omit({ tenantId: true }).meta({ id: "OpenwopWebhook2" });
export const registered = z
  .object({
    subscriptionId: z.string(),
    url: z.string(),
    secret: z.string(),
    eventTypes: z.array(z.string()),
    createdAt: z.string(),
  })
  .meta({ id: "OpenwopRegisteredWebhook2" });
