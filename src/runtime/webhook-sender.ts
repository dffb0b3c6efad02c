import type { Timer } from "../core/clock.js";
import type { MetadataStore } from "../core/metadata-store.js";
import { settledWithin } from "../core/settled-within.js";
import type { ClaimedDelivery, HostSelection } from "../core/webhook.js";
import { createDeliverer, type SenderParts } from "./deliverer.js";
import type { RetryRules } from "./delivery-outcome.js";
import { pickDeliveries } from "./pick-deliveries.js";
import { ReceiverHosts } from "./receiver-hosts.js";
import { createWebhookCircuits } from "./webhook-circuits.js";

/** How long a stop waits for receivers that are being told. */
const STOP_MS = 3_000;
/** Beyond the time-out of a request: for the storage to hear of it. */
const LEASE_RESERVE_MS = 10_000;
const SWEEP_EVERY_MS = 60_000;
const SWEPT_AT_ONCE = 1_000;

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

/** @param deps.send settles within `timeoutMs`, or when its signal is aborted */
export function createWebhookSender(
  deps: SenderParts & { readonly store: Pick<MetadataStore, "deliveries" | "chores" | "records"> },
  options: WebhookSenderOptions,
): WebhookSender {
  const { clock, logger } = deps;
  const { deliveries, chores, records } = deps.store;
  const circuits = createWebhookCircuits(records, clock);
  const deliver = createDeliverer({ ...deps, deliveries, records, circuits }, options);
  const hosts = new ReceiverHosts(clock, options.perHost);
  const leaseMs = options.timeoutMs + LEASE_RESERVE_MS;
  const working = new Set<Promise<void>>();
  const sweeping = new Set<Promise<void>>();
  const timers = new Set<Timer>();
  const stopping = new AbortController();
  let doubtful = 0;
  let isStarted = false;
  let round: Promise<void> | null = null;
  let isWoken = false;

  const startOne = (claimed: ClaimedDelivery): void => {
    const { host } = claimed.delivery;
    const isDoubtful = !hosts.isAnswering(host);
    if (isDoubtful) doubtful += 1;
    hosts.started(host);
    const work = deliver(claimed, stopping.signal).then((isAlive) => {
      hosts.ended(host, isAlive);
      if (isDoubtful) doubtful -= 1;
      working.delete(work);
      wake();
    });
    working.add(work);
  };

  const startAll = async (selection: () => HostSelection, limit: number): Promise<void> => {
    if (limit <= 0) return;
    const deliveryIds = await pickDeliveries({ deliveries, hosts }, selection, limit);
    if (deliveryIds.length === 0) return;
    for (const claimed of await deliveries.claim({ deliveryIds, leaseMs })) startOne(claimed);
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
        sweeping.add(swept);
        void swept.finally(() => sweeping.delete(swept));
      });
      wake();
    },
    async stop() {
      isStarted = false;
      for (const timer of timers) timer.cancel();
      await round;
      await settledWithin(clock, STOP_MS, Promise.all([...working, ...sweeping]));
      stopping.abort();
      await settledWithin(clock, STOP_MS, Promise.all(working));
    },
  };
}
