import type * as Vitest from "vitest";
import type { AccessFilter } from "../../core/auth.js";
import type { JsonObject } from "../../core/json.js";
import type { ClaimRequest, CreateRunOutcome, MetadataStore, NewAssistant, NewRun } from "../../core/metadata-store.js";
import type { ClaimedRun, Run, RunKwargs, RunLease } from "../../core/run.js";
import { fakeClock, type FakeClock } from "../fake-clock.js";

/** How a contract suite gets the implementation under test. */
export interface StoreSuite<Store> {
  /** Of the implementation, for titles. */
  readonly name: string;
  /** The runner's functions: this package does not import vitest. */
  readonly vitest: Pick<typeof Vitest, "describe" | "it" | "expect">;
  /** A fresh, empty store whose time is `clock`. `close` also removes what it made. */
  open(clock: FakeClock): Promise<{ readonly store: Store; close(): Promise<void> }>;
}

export interface StoreFixture<Store> {
  readonly store: Store;
  readonly clock: FakeClock;
}

export type WithStore<Store> = (test: (fixture: StoreFixture<Store>) => Promise<void>) => () => Promise<void>;

/** Wraps a test so that it gets a store of its own, which is closed whatever happens. */
export function withStoreOf<Store>(suite: StoreSuite<Store>): WithStore<Store> {
  return (test) => async () => {
    const clock = fakeClock();
    const { store, close } = await suite.open(clock);
    try {
      await test({ store, clock });
    } finally {
      await close();
    }
  };
}

export const ALL: AccessFilter = { kind: "all" };
/** Rows of one owner: the usual authorization filter. */
export const owner = (name: string): AccessFilter => ({ kind: "match", where: { owner: name } });

/** A UUID that sorts by `n`. */
export function uuid(n: number): string {
  return `00000000-0000-7000-8000-${n.toString(16).padStart(12, "0")}`;
}

/** Change a row's JSON in place, as a careless caller might: adds to its list `tags`. */
export function pushTag(json: JsonObject | undefined, tag: string): void {
  const tags = json?.["tags"];
  if (!Array.isArray(tags)) throw new TypeError("there is no list of tags to change");
  tags.push(tag);
}

export const ASSISTANT_ID = uuid(0xa55);

export function newAssistant(n: number, draft: Partial<NewAssistant> = {}): NewAssistant {
  return {
    assistantId: uuid(n),
    graphId: "agent",
    name: `assistant ${n}`,
    description: null,
    config: {},
    context: {},
    metadata: {},
    ...draft,
  };
}

export const KWARGS: RunKwargs = {
  config: {},
  streamModes: ["values"],
  streamSubgraphs: false,
  streamResumable: false,
  durability: "async",
  temporary: false,
};

export function newRun(n: number, threadId: string, draft: Partial<NewRun> = {}): NewRun {
  return {
    runId: uuid(n),
    threadId,
    assistantId: ASSISTANT_ID,
    graphId: "agent",
    kwargs: KWARGS,
    multitaskStrategy: "enqueue",
    delayMs: 0,
    assistantMetadata: {},
    metadata: {},
    assistantConfig: {},
    createThread: false,
    ...draft,
  };
}

export const LEASE_MS = 30_000;
export const CLAIM: ClaimRequest = { workerId: "worker-1", leaseMs: LEASE_MS };

/** Shorthands over a metadata store, for tests that need rows more than they test how they came about. */
export class Rows {
  readonly #store: MetadataStore;
  #count = 0;

  constructor(store: MetadataStore) {
    this.#store = store;
  }

  /** An id that sorts after all before. */
  id(): string {
    this.#count += 1;
    return uuid(0x1000 + this.#count);
  }

  async thread(metadata: JsonObject = {}): Promise<string> {
    const threadId = this.id();
    await this.#store.threads.create({ threadId, metadata, access: ALL });
    return threadId;
  }

  async create(threadId: string, draft: Partial<NewRun> = {}, claim?: ClaimRequest): Promise<CreateRunOutcome> {
    return this.#store.runs.create({
      draft: newRun(0, threadId, { runId: this.id(), ...draft }),
      ...(claim === undefined ? {} : { claim }),
      access: ALL,
    });
  }

  /** A run that must be created. */
  async run(threadId: string, draft: Partial<NewRun> = {}): Promise<Run> {
    const outcome = await this.create(threadId, draft);
    if (outcome.kind !== "created") throw new Error(`run was not created: ${outcome.kind}`);
    return outcome.run;
  }

  /** A run that must be created already leased. */
  async leased(
    threadId: string,
    draft: Partial<NewRun> = {},
  ): Promise<{ readonly run: Run; readonly lease: RunLease }> {
    const outcome = await this.create(threadId, draft, CLAIM);
    if (outcome.kind !== "created" || outcome.lease === null) throw new Error("run was not created leased");
    return { run: outcome.run, lease: outcome.lease };
  }

  async claim(limit = 100, workerId = CLAIM.workerId): Promise<readonly ClaimedRun[]> {
    return this.#store.runs.claim({ workerId, leaseMs: LEASE_MS, limit });
  }

  /** The one run that must be due. */
  async claimOne(workerId = CLAIM.workerId): Promise<ClaimedRun> {
    const [claimed] = await this.claim(1, workerId);
    if (claimed === undefined) throw new Error("no run is due");
    return claimed;
  }

  /** End a run successfully; says whether the store took it. */
  async finish(lease: RunLease, hasNext = false): Promise<boolean> {
    const outcome = { kind: "ended", status: "success" } as const;
    return (await this.#store.runs.finish({ lease, outcome, threadPatch: {}, hasNext })).accepted;
  }

  async statusOf(runId: string): Promise<string | null> {
    return (await this.#store.runs.get({ runId, access: ALL }))?.status ?? null;
  }

  async threadStatusOf(threadId: string): Promise<string | null> {
    return (await this.#store.threads.get({ threadId, access: ALL }))?.status ?? null;
  }
}
