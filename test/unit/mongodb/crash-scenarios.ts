import type { MetadataStore } from "../../../src/core/metadata-store.js";
import { toJsonText } from "../../../src/core/json.js";
import type { RunLease } from "../../../src/core/run.js";
import type { FakeClock } from "../../../src/testing/fake-clock.js";
import { ALL, CLAIM, LEASE_MS, newAssistant, newRun } from "../../../src/testing/stores/suite.js";
import { randomUUID } from "node:crypto";

/** Rows that an operation starts from; ids by the part that they play. */
export interface Stage {
  readonly threadId: string;
  readonly assistantId: string;
  readonly runIds: Readonly<Record<"held" | "waiting" | "later" | "fresh", string>>;
  /** Of `held`, where it is running. */
  readonly lease: RunLease | null;
}

export interface Scenario {
  readonly title: string;
  prepare(store: MetadataStore, clock: FakeClock): Promise<Stage>;
  act(store: MetadataStore, stage: Stage): Promise<unknown>;
  /** It consists of several steps that are visible in between; doing it again completes it. */
  readonly isStepwise?: true;
}

/** So large that it gets a document of its own. */
const LARGE = toJsonText({ messages: ["x".repeat(100_000)] });

/** Ids that sort by their parts. */
const inOrder = (prefix: string): Stage["runIds"] => ({
  held: `${prefix}-0000-4000-8000-000000000001`,
  waiting: `${prefix}-0000-4000-8000-000000000002`,
  later: `${prefix}-0000-4000-8000-000000000003`,
  fresh: `${prefix}-0000-4000-8000-000000000004`,
});

const newIds = (): Stage => ({
  threadId: randomUUID(),
  assistantId: randomUUID(),
  runIds: inOrder(randomUUID().slice(0, 8)),
  lease: null,
});

const draftOf = (stage: Stage, part: keyof Stage["runIds"], draft: object = {}) => ({
  draft: newRun(0, stage.threadId, { runId: stage.runIds[part], assistantId: stage.assistantId, ...draft }),
  access: ALL,
});

const empty = async (): Promise<Stage> => newIds();

const idle = async (store: MetadataStore): Promise<Stage> => {
  const stage = newIds();
  const { threadId } = stage;
  await store.threads.create({ threadId, metadata: {}, access: ALL });
  await store.threads.patchState({ threadId, patch: { values: LARGE }, hasNext: false });
  return stage;
};

/** One run is running, two wait. */
const busy = async (store: MetadataStore): Promise<Stage> => {
  const stage = await idle(store);
  const created = await store.runs.create({ ...draftOf(stage, "held"), claim: CLAIM });
  await store.runs.create(draftOf(stage, "waiting"));
  await store.runs.create(draftOf(stage, "later"));
  return { ...stage, lease: created.kind === "created" ? created.lease : null };
};

/** Three wait; the first was held by a worker before. */
const waiting = async (store: MetadataStore): Promise<Stage> => {
  const stage = await busy(store);
  if (stage.lease !== null) await store.runs.release({ lease: stage.lease });
  return { ...stage, lease: null };
};

const expired = async (store: MetadataStore, clock: FakeClock): Promise<Stage> => {
  const stage = await busy(store);
  clock.advance(LEASE_MS);
  return stage;
};

const withAssistant = async (store: MetadataStore): Promise<Stage> => {
  const stage = await busy(store);
  await store.assistants.create({ draft: newAssistant(0, { assistantId: stage.assistantId }), access: ALL });
  return stage;
};

const leaseOf = (stage: Stage): RunLease => stage.lease ?? { runId: "none", leaseToken: 0 };

const finish = (store: MetadataStore, stage: Stage, outcome: "success" | "rolled-back"): Promise<unknown> =>
  store.runs.finish({
    lease: leaseOf(stage),
    outcome: outcome === "success" ? { kind: "ended", status: outcome } : { kind: outcome },
    threadPatch: { values: toJsonText({ new: "y".repeat(50_000) }), interrupts: toJsonText({}) },
    hasNext: false,
  });

const cancel = (part: keyof Stage["runIds"], action: "interrupt" | "rollback"): Scenario["act"] => {
  return (store, { runIds }) => store.runs.requestCancel({ runId: runIds[part], action, access: ALL });
};

const create = (draft: object, isClaimed = false): Scenario["act"] => {
  return (store, stage) =>
    store.runs.create({ ...draftOf(stage, "fresh", draft), ...(isClaimed ? { claim: CLAIM } : {}) });
};

export const SCENARIOS: readonly Scenario[] = [
  { title: "create on a new thread", prepare: empty, act: create({ createThread: true }) },
  { title: "create on a new thread, leased", prepare: empty, act: create({ createThread: true }, true) },
  { title: "create on an idle thread, leased", prepare: idle, act: create({}, true) },
  { title: "create behind others", prepare: busy, act: create({}) },
  { title: "create with a delay", prepare: busy, act: create({ delayMs: 10 }) },
  { title: "create, refused", prepare: busy, act: create({ multitaskStrategy: "reject" }) },
  { title: "create, interrupting", prepare: busy, act: create({ multitaskStrategy: "interrupt" }) },
  { title: "create, rolling back", prepare: busy, act: create({ multitaskStrategy: "rollback" }) },
  { title: "create, rolling back what waits", prepare: waiting, act: create({ multitaskStrategy: "rollback" }, true) },
  {
    title: "claim",
    prepare: waiting,
    act: (store, { threadId }) => store.runs.claim({ ...CLAIM, limit: 1, threadId }),
  },
  { title: "finish", prepare: busy, act: (store, stage) => finish(store, stage, "success") },
  { title: "finish, rolled back", prepare: busy, act: (store, stage) => finish(store, stage, "rolled-back") },
  { title: "release", prepare: busy, act: (store, stage) => store.runs.release({ lease: leaseOf(stage) }) },
  { title: "cancel a running run", prepare: busy, act: cancel("held", "rollback") },
  { title: "cancel a pending run", prepare: busy, act: cancel("waiting", "interrupt") },
  { title: "cancel and remove a pending run", prepare: busy, act: cancel("waiting", "rollback") },
  { title: "cancel a run that a worker held", prepare: waiting, act: cancel("held", "interrupt") },
  {
    title: "delete a pending run",
    prepare: busy,
    act: (store, { threadId, runIds }) => store.runs.delete({ runId: runIds.later, threadId, access: ALL }),
  },
  { title: "reap, requeue", prepare: expired, act: (store) => store.runs.reapExpired({ maxAttempts: 3 }) },
  { title: "reap, fail", prepare: expired, act: (store) => store.runs.reapExpired({ maxAttempts: 1 }) },
  {
    title: "patch the state",
    prepare: idle,
    act: (store, { threadId }) =>
      store.threads.patchState({ threadId, patch: { values: LARGE, interrupts: LARGE }, hasNext: true }),
  },
  {
    title: "delete a thread",
    prepare: busy,
    act: (store, { threadId }) => store.threads.delete({ threadId, access: ALL }),
  },
  {
    title: "update an assistant",
    prepare: withAssistant,
    act: (store, { assistantId }) => store.assistants.update({ assistantId, patch: { name: "renamed" }, access: ALL }),
  },
  {
    title: "delete an assistant",
    prepare: withAssistant,
    act: (store, { assistantId }) => store.assistants.delete({ assistantId, access: ALL }),
    isStepwise: true,
  },
];
