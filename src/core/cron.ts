import type { RunConfig } from "./assistant.js";
import type { AccessFilter, Caller } from "./auth.js";
import { SERVER } from "./auth.js";
import type { EpochMs, JsonObject, JsonValue } from "./json.js";
import type { CreateRunOutcome, NewRun, Page, PageRequest } from "./metadata-store.js";
import type { Durability, MultitaskStrategy, StreamMode } from "./run.js";
import type { RunWebhook } from "./webhook.js";

/** What every run of a cron is started with. Absent means not sent. */
export interface CronPayload {
  readonly input?: JsonValue;
  readonly config?: RunConfig;
  readonly context?: JsonValue;
  readonly webhook?: RunWebhook;
  readonly interruptBefore?: "*" | readonly string[];
  readonly interruptAfter?: "*" | readonly string[];
  readonly streamModes: readonly StreamMode[];
  readonly streamSubgraphs: boolean;
  readonly streamResumable: boolean;
  readonly durability: Durability;
  /** One attempt may take this long. */
  readonly timeoutMs?: number;
}

/** Who created a cron, and as whom its runs are started. */
export type CronCreator =
  | { readonly kind: "server" }
  | {
      readonly kind: "caller";
      readonly identity: string | null;
      readonly permissions: readonly string[];
      readonly user: JsonObject | null;
    };

/** Starts runs of an assistant on a schedule (docs/wire/langgraph-api.md §2.8). */
export interface Cron {
  readonly cronId: string;
  readonly assistantId: string;
  /** `null`: every run gets a thread of its own. */
  readonly threadId: string | null;
  /** Five fields: minute, hour, day of month, month, day of week. */
  readonly schedule: string;
  /** IANA name; `null` is UTC. */
  readonly timezone: string | null;
  /** No run starts after it. */
  readonly endTime: EpochMs | null;
  readonly enabled: boolean;
  /** What becomes of the thread of a run that has one of its own. */
  readonly onRunCompleted: "delete" | "keep";
  readonly multitaskStrategy: MultitaskStrategy;
  readonly payload: CronPayload;
  /** Of the cron, and of its runs. */
  readonly metadata: JsonObject;
  readonly creator: CronCreator;
  /** The tick that comes next; `null` when there is none: disabled, or past `endTime`. */
  readonly nextRunAt: EpochMs | null;
  /** Grows with every {@link CronStore.update}. */
  readonly revision: number;
  readonly createdAt: EpochMs;
  readonly updatedAt: EpochMs;
}

export type NewCron = Omit<Cron, "revision" | "createdAt" | "updatedAt">;

/** What may change of a cron. */
export type CronChange = Partial<
  Pick<Cron, "schedule" | "timezone" | "endTime" | "enabled" | "onRunCompleted" | "payload" | "metadata" | "nextRunAt">
>;

export type CronSortField =
  "cron_id" | "assistant_id" | "thread_id" | "next_run_date" | "end_time" | "created_at" | "updated_at";

export interface CronQuery {
  readonly assistantId?: string;
  readonly threadId?: string;
  readonly enabled?: boolean;
  /** Containment (core/metadata-filter). */
  readonly metadata?: JsonObject;
  readonly access: AccessFilter;
}

/** A due cron that this process is to move on, by {@link CronStore.fire} or {@link CronStore.skip}. */
export interface ClaimedCron {
  readonly cron: Cron & { readonly nextRunAt: EpochMs };
  /** Grows with every claim and with every change of `nextRunAt`: a fencing token. */
  readonly leaseToken: number;
  /** The store's time at the claim. */
  readonly now: EpochMs;
}

/**
 * Crons. A cron's row says which tick comes next. Whoever claims it starts that tick's run and moves the row on in one atomic step
 * ({@link CronStore.fire}), so that however many processes there are, and whenever one of them dies, a tick has one run: before that
 * step there is neither, after it both. A claim whose process died runs out, and the next one finds the same tick.
 */
export interface CronStore {
  /**
   * @returns `gone` when the assistant or the thread is not there
   */
  create(params: {
    readonly draft: NewCron;
  }): Promise<{ readonly kind: "created"; readonly cron: Cron } | { readonly kind: "gone" }>;
  get(params: { readonly cronId: string; readonly access: AccessFilter }): Promise<Cron | null>;
  /**
   * Change a cron that is still as it was read. A new `nextRunAt` takes the cron from whoever has claimed it.
   * @returns `changed` when it has another revision by now
   */
  update(params: {
    readonly cronId: string;
    readonly revision: number;
    readonly change: CronChange;
    readonly access: AccessFilter;
  }): Promise<
    { readonly kind: "updated"; readonly cron: Cron } | { readonly kind: "changed" } | { readonly kind: "not-found" }
  >;
  delete(params: { readonly cronId: string; readonly access: AccessFilter }): Promise<Cron | null>;
  /** Ties go by `cronId`. What is `null` sorts as the greatest value. */
  search(params: CronQuery & PageRequest<CronSortField>): Promise<Page<Cron>>;
  count(params: CronQuery): Promise<number>;
  /** Crons whose tick has come and which nobody has claimed, oldest first. */
  claimDue(params: { readonly leaseMs: number; readonly limit: number }): Promise<readonly ClaimedCron[]>;
  /** When the first cron can be claimed, in the store's time; `at` is `null` when there is none. */
  nextDueAt(): Promise<{ readonly now: EpochMs; readonly at: EpochMs | null }>;
  /**
   * Create the run of a tick, as `runs.create` does, and move the cron on: both or neither. A run of this id that is there already is
   * taken for the tick's. It moves on also when no run could be created (`busy`, `no-thread`).
   * @param params.next the tick after; `null`: none
   * @returns `lost` when the claim is no longer held, and nothing has happened
   */
  fire(params: {
    readonly cronId: string;
    readonly leaseToken: number;
    readonly next: EpochMs | null;
    readonly draft: NewRun;
    readonly access: AccessFilter;
  }): Promise<{ readonly kind: "lost" } | { readonly kind: "fired"; readonly outcome: CreateRunOutcome }>;
  /** Move a cron on without a run. @returns false when the claim is no longer held */
  skip(params: {
    readonly cronId: string;
    readonly leaseToken: number;
    readonly next: EpochMs | null;
  }): Promise<boolean>;
}

/** What is stored of the caller that creates a cron. */
export function creatorOf(caller: Caller): CronCreator {
  if (caller === SERVER) return { kind: "server" };
  const { identity, permissions, user } = caller;
  return { kind: "caller", identity, permissions, user };
}

/** The caller as whom a cron's runs are started. */
export function callerOfCreator(creator: CronCreator): Caller {
  if (creator.kind === "server") return SERVER;
  const { identity, permissions, user } = creator;
  return { identity, permissions, user };
}
