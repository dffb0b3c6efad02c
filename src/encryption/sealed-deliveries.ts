import { type Cipher, openJsonText, sealJsonText } from "../core/cipher.js";
import type { Logger } from "../core/logger.js";
import type { ClaimedDelivery, DeliveryContent, DeliveryStore } from "../core/webhook.js";
import { openRun, PLACES } from "./sealed-rows.js";

const UNREADABLE = "the stored payload cannot be decrypted";

/** Deliveries of runs are copies of what runs and threads have sealed, and opened as those are. Messages are sealed here, whole. */
export function sealedDeliveries(store: DeliveryStore, cipher: Cipher, logger: Pick<Logger, "warn">): DeliveryStore {
  const open = (claimed: ClaimedDelivery): DeliveryContent => {
    const { deliveryId } = claimed.delivery;
    if (claimed.kind === "message") {
      return { kind: "message", message: openJsonText(cipher, claimed.message, PLACES.message(deliveryId)) };
    }
    const { kind, run, values, startedAt } = claimed;
    const place = PLACES.thread(run.threadId, "values");
    return { kind, run: openRun(cipher, run), values: values && openJsonText(cipher, values, place), startedAt };
  };

  return {
    enqueue({ message, ...clear }) {
      return store.enqueue({ ...clear, message: sealJsonText(cipher, message, PLACES.message(clear.deliveryId)) });
    },
    due: (params) => store.due(params),
    async claim(params) {
      const opened: ClaimedDelivery[] = [];
      for (const claimed of await store.claim(params)) {
        const { delivery, leaseToken } = claimed;
        const { deliveryId } = delivery;
        try {
          opened.push({ ...claimed, ...open(claimed) });
        } catch (error) {
          logger.warn({ err: error, deliveryId }, "a webhook that cannot be decrypted is given up");
          const attempt = { at: delivery.updatedAt, durationMs: 0, statusCode: null, error: UNREADABLE };
          await store.record({ lease: { deliveryId, leaseToken }, attempt, next: { kind: "failed" } });
        }
      }
      return opened;
    },
    record: (params) => store.record(params),
    release: (params) => store.release(params),
    get: (params) => store.get(params),
    list: (params) => store.list(params),
    redeliver: (params) => store.redeliver(params),
    sweep: (params) => store.sweep(params),
    deleteThread: (params) => store.deleteThread(params),
  };
}
