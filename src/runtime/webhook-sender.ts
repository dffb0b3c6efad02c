import type { Clock, Timer } from "../core/clock.js";
import type { Logger } from "../core/logger.js";
import type { MetadataStore } from "../core/metadata-store.js";
import { settledWithin } from "../core/settled-within.js";
import type { ClaimedDelivery, DeliveryAnswer, HostSelection } from "../core/webhook.js";
import { deliveryOutcome, type RetryRules } from "./delivery-outcome.js";
import { ReceiverHosts } from "./receiver-hosts.js";

/** How long a stop waits for receivers that are being told. */
const STOP_MS = 3_000;
/** Beyond the time-out of a request: for the storage to hear of it. */
const LEASE_RESERVE_MS = 10_000;
const SWEEP_EVERY_MS = 60_000;
const SWEPT_AT_ONCE = 1_000;
/** How often one round asks again for deliveries to other hosts, when the first ones were all of the same. */
const MAX_LOOKS = 8;

export interface WebhookSenderOptions extends RetryRules {
  readonly workerId: string;
  /** Deliveries under way at once in this process. */
  readonly concurrency: number;
  /** Of them to one host and port. */
  readonly perHost: number;
  readonly pollMs: number;
  /** Of one attempt. */
  readonly timeoutMs: number;
  /** How long what is delivered or given up stays in the log. */
  readonly keepMs: number;
}

/** Empties the outbox of webhooks. Several processes may; each delivery is claimed by one. */
export interface WebhookSender {
  /** There may be something to send. */
  wake(): void;
  start(): void;
  /** Gives back what is not answered within seconds: another process, or the next start, sends it again. */
  stop(): Promise<void>;
}

/** @param deps.send never rejects */
export function createWebhookSender(
  deps: {
    readonly store: Pick<MetadataStore, "deliveries" | "chores">;
    readonly send: (delivery: ClaimedDelivery, signal: AbortSignal) => Promise<DeliveryAnswer>;
    readonly clock: Clock;
    readonly logger: Logger;
  },
  options: WebhookSenderOptions,
): WebhookSender {
  const { clock, logger, send } = deps;
  const { deliveries, chores } = deps.store;
  const hosts = new ReceiverHosts(clock, options.perHost);
  const leaseMs = options.timeoutMs + LEASE_RESERVE_MS;
  const working = new Set<Promise<void>>();
  const timers = new Set<Timer>();
  const stopping = new AbortController();
  let doubtful = 0;
  let isStarted = false;
  let round: Promise<void> | null = null;
  let isWoken = false;

  const deliver = async (claimed: ClaimedDelivery, isDoubtful: boolean): Promise<void> => {
    const { delivery, leaseToken, failures, pendingMs } = claimed;
    const { deliveryId, runId, threadId, host } = delivery;
    const lease = { deliveryId, leaseToken };
    const at = clock.now();
    let isAlive: boolean | null = null;
    try {
      const answer = await send(claimed, stopping.signal);
      if (stopping.signal.aborted && answer.kind === "failed") {
        await deliveries.release({ leases: [lease] });
        return;
      }
      isAlive = answer.kind === "answered";
      const now = clock.now();
      const { next, error } = deliveryOutcome({ answer, failures, pendingMs, now, random: Math.random() }, options);
      const statusCode = answer.kind === "answered" ? answer.statusCode : null;
      const attempt = { at, durationMs: Math.max(0, now - at), statusCode, error };
      await deliveries.record({ lease, attempt, next });
      const fields = { deliveryId, runId, threadId, host, error };
      if (next.kind === "failed") logger.warn(fields, "a webhook is given up");
      else if (next.kind === "retry") logger.debug({ ...fields, delayMs: next.delayMs }, "a webhook is tried again");
    } catch (error) {
      // The lease ends, and it is sent again.
      logger.error({ err: error, deliveryId, runId }, "what became of a webhook could not be written down");
    } finally {
      hosts.ended(host, isAlive);
      if (isDoubtful) doubtful -= 1;
    }
  };

  /** Deliveries to start now, as many as hosts and `limit` have room for. */
  const pick = async (selection: () => HostSelection, limit: number): Promise<readonly string[]> => {
    const picked: string[] = [];
    const taken = new Map<string, number>();
    for (let looks = 0; looks < MAX_LOOKS && picked.length < limit; looks += 1) {
      const { kind, hosts: named } = selection();
      const full = [...taken.keys()].filter((host) => (taken.get(host) ?? 0) >= hosts.free(host));
      const wanted = kind === "only" ? named.filter((host) => !full.includes(host)) : [...named, ...full];
      if (kind === "only" && wanted.length === 0) break;
      const limitNow = limit - picked.length;
      const due = await deliveries.due({ limit: limitNow + picked.length, hosts: { kind, hosts: wanted } });
      const fresh = due.filter(({ deliveryId }) => !picked.includes(deliveryId));
      for (const { deliveryId, host } of fresh.slice(0, limitNow)) {
        const count = taken.get(host) ?? 0;
        if (count < hosts.free(host)) picked.push(deliveryId);
        taken.set(host, Math.min(count + 1, options.perHost));
      }
      if (fresh.length === 0 || due.length < limitNow) break;
    }
    return picked;
  };

  const startAll = async (selection: () => HostSelection, limit: number): Promise<number> => {
    if (limit <= 0) return 0;
    const deliveryIds = await pick(selection, limit);
    if (deliveryIds.length === 0) return 0;
    const claimed = await deliveries.claim({ deliveryIds, leaseMs });
    for (const one of claimed) {
      const { host } = one.delivery;
      const isDoubtful = !hosts.isAnswering(host);
      if (isDoubtful) doubtful += 1;
      hosts.started(host);
      const work = deliver(one, isDoubtful).finally(() => {
        working.delete(work);
        wake();
      });
      working.add(work);
    }
    return claimed.length;
  };

  const fill = async (): Promise<void> => {
    do {
      isWoken = false;
      const free = (): number => options.concurrency - working.size;
      await startAll(() => hosts.answering(), free());
      // Half of it stays for those that answer, however many do not.
      const doubtfulRoom = Math.max(1, Math.floor(options.concurrency / 2)) - doubtful;
      await startAll(() => hosts.others(), Math.min(free(), doubtfulRoom));
    } while (isWoken && isStarted);
  };

  const wake = (): void => {
    isWoken = true;
    if (!isStarted || round !== null) return;
    round = fill()
      .catch((error: unknown) => logger.error({ err: error }, "looking for webhooks to send failed"))
      .finally(() => (round = null));
  };

  const sweep = async (): Promise<void> => {
    const { workerId, keepMs } = options;
    if (!(await chores.claim({ name: "webhooks", leaseMs: SWEEP_EVERY_MS, workerId }))) return;
    for (;;) {
      const gone = await deliveries.sweep({ idleMs: keepMs, limit: SWEPT_AT_ONCE });
      if (gone < SWEPT_AT_ONCE || !isStarted) return;
    }
  };

  const every = (everyMs: number, task: () => void): void => {
    const timer = clock.setTimer(() => {
      timers.delete(timer);
      if (!isStarted) return;
      task();
      every(everyMs, task);
    }, everyMs);
    timers.add(timer);
  };

  return {
    wake,
    start() {
      if (isStarted || stopping.signal.aborted) return;
      isStarted = true;
      every(options.pollMs, wake);
      every(SWEEP_EVERY_MS, () => {
        const swept = sweep().catch((error: unknown) => logger.error({ err: error }, "sweeping webhooks failed"));
        working.add(swept);
        void swept.finally(() => working.delete(swept));
      });
      wake();
    },
    async stop() {
      isStarted = false;
      for (const timer of timers) timer.cancel();
      await round;
      await settledWithin(clock, STOP_MS, Promise.all(working));
      stopping.abort();
      await settledWithin(clock, STOP_MS, Promise.all(working));
    },
  };
}
