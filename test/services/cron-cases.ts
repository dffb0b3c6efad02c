import { deliveryIdOf } from "../../src/core/webhook.js";
import type { CronRequest } from "../../src/services/crons.js";
import type { Case } from "./cases.js";

export const PAGE = { limit: 10, offset: 0, sortOrder: "asc" } as const;

/** A cron whose ticks are far enough away. */
export const YEARLY: CronRequest = {
  assistantId: "quick",
  schedule: "0 0 1 1 *",
  timezone: null,
  endTime: null,
  enabled: true,
  onRunCompleted: "delete",
  multitaskStrategy: "enqueue",
  payload: { streamModes: ["values"], streamSubgraphs: false, streamResumable: false, durability: "async" },
  metadata: {},
};

/** Every method of crons and of the deliveries of webhooks. */
export const CRON_CASES: Readonly<Record<string, Case>> = {
  "crons.create": {
    call: (s, caller, f) => s.crons.create(caller, f.threadId, { ...YEARLY, onRunCompleted: "keep" }),
    events: ["assistants:read", "threads:read", "crons:create"],
    hidden: { code: "THREAD_NOT_FOUND" },
  },
  "crons.get": {
    call: (s, caller, f) => s.crons.get(caller, f.cron.cronId),
    events: ["crons:read"],
    hidden: { code: "CRON_NOT_FOUND" },
  },
  "crons.update": {
    call: (s, caller, f) => s.crons.update(caller, f.cron.cronId, { enabled: false }),
    events: ["crons:update"],
    hidden: { code: "CRON_NOT_FOUND" },
  },
  "crons.delete": {
    call: (s, caller, f) => s.crons.delete(caller, f.cron.cronId),
    events: ["crons:delete"],
    hidden: { code: "CRON_NOT_FOUND" },
  },
  "crons.search": {
    call: (s, caller) => s.crons.search(caller, { ...PAGE, sortBy: "created_at" }),
    events: ["crons:search"],
    hidden: { value: { rows: [], total: 0 } },
  },
  "crons.count": {
    call: (s, caller) => s.crons.count(caller, {}),
    events: ["crons:search"],
    hidden: { value: 0 },
  },
  "deliveries.list": {
    call: (s, caller) => s.deliveries.list(caller, { limit: 10, offset: 0 }),
    events: ["threads:search"],
    hidden: { code: "FORBIDDEN" },
    isForOperators: true,
  },
  "deliveries.get": {
    call: (s, caller, f) => s.deliveries.get(caller, deliveryIdOf(f.done.runId)),
    events: ["threads:read"],
    hidden: { code: "FORBIDDEN" },
    isForOperators: true,
  },
  "deliveries.redeliver": {
    call: (s, caller, f) => s.deliveries.redeliver(caller, deliveryIdOf(f.done.runId)),
    events: ["threads:update"],
    hidden: { code: "FORBIDDEN" },
    isForOperators: true,
  },
};
