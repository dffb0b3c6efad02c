import type { ClaimedCron, Cron, NewCron } from "../../core/cron.js";
import type { MetadataStore } from "../../core/metadata-store.js";
import { ALL, ASSISTANT_ID, LEASE_MS, newAssistant, newRun, type StoreSuite, uuid, type WithStore } from "./suite.js";

export const EVERY_MINUTE_MS = 60_000;
export const CLAIM = { leaseMs: LEASE_MS, limit: 10 };

export type Suite = StoreSuite<MetadataStore>;
export type With = WithStore<MetadataStore>;

export function newCron(n: number, draft: Partial<NewCron> = {}): NewCron {
  return {
    cronId: uuid(n),
    assistantId: ASSISTANT_ID,
    threadId: null,
    schedule: "* * * * *",
    timezone: null,
    endTime: null,
    enabled: true,
    onRunCompleted: "delete",
    multitaskStrategy: "enqueue",
    payload: { streamModes: ["values"], streamSubgraphs: false, streamResumable: false, durability: "async" },
    metadata: {},
    creator: { kind: "caller", identity: null, permissions: [], user: null },
    nextRunAt: null,
    ...draft,
  };
}

export async function assistant(store: MetadataStore, assistantId = ASSISTANT_ID): Promise<void> {
  await store.assistants.create({ draft: { ...newAssistant(1), assistantId }, access: ALL });
}

export async function create(store: MetadataStore, draft: NewCron): Promise<Cron> {
  const outcome = await store.crons.create({ draft });
  if (outcome.kind !== "created") throw new Error(`cron was not created: ${outcome.kind}`);
  return outcome.cron;
}

export async function claimOne(store: MetadataStore): Promise<ClaimedCron> {
  const [claimed] = await store.crons.claimDue(CLAIM);
  if (claimed === undefined) throw new Error("no cron is due");
  return claimed;
}

/** The run of a tick of a cron that gives each run a thread of its own. */
export function tickRun(n: number) {
  return newRun(n, uuid(n + 0x500), { createThread: true });
}
