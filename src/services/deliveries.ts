import type { AuthAction, Caller } from "../core/auth.js";
import { HeddleError } from "../core/errors.js";
import type { MetadataStore, Page } from "../core/metadata-store.js";
import type { Delivery, DeliveryQuery } from "../core/webhook.js";
import type { Authorize } from "./authorization.js";

/** The log of webhooks, and sending one again. For operators: callers who may see all threads, not only some. */
export type DeliveriesService = ReturnType<typeof createDeliveriesService>;

export function createDeliveriesService(deps: {
  readonly store: Pick<MetadataStore, "deliveries">;
  readonly authorize: Authorize;
  /** There may be something to send. */
  readonly wakeSender?: () => void;
}) {
  const { deliveries } = deps.store;

  /**
   * A delivery is of nobody once its thread is gone, and its rows have no owner to ask about: so whoever is confined to some threads
   * sees none.
   */
  const requireOperator = async (caller: Caller, action: AuthAction, threadId?: string): Promise<void> => {
    const { access } = await deps.authorize(caller, "threads", action, { thread_id: threadId });
    if (access.kind === "all") return;
    throw new HeddleError("FORBIDDEN", {
      message:
        "Deliveries of webhooks are for operators: callers who may see everybody's threads (permission rows:all)",
    });
  };

  const notFound = (deliveryId: string): HeddleError =>
    new HeddleError("NOT_FOUND", { message: `Delivery "${deliveryId}" not found` });

  return {
    /** Newest first. @throws `FORBIDDEN` */
    async list(
      caller: Caller,
      query: DeliveryQuery & { readonly limit: number; readonly offset: number },
    ): Promise<Page<Delivery>> {
      await requireOperator(caller, "search", query.threadId);
      return deliveries.list(query);
    },

    /** @throws `FORBIDDEN`, `NOT_FOUND` */
    async get(caller: Caller, deliveryId: string): Promise<Delivery> {
      await requireOperator(caller, "read");
      const delivery = await deliveries.get({ deliveryId });
      if (delivery === null) throw notFound(deliveryId);
      return delivery;
    },

    /** Send it again, whatever became of it, with the same id. @throws `FORBIDDEN`, `NOT_FOUND` */
    async redeliver(caller: Caller, deliveryId: string): Promise<Delivery> {
      await requireOperator(caller, "update");
      const delivery = await deliveries.redeliver({ deliveryId });
      if (delivery === null) throw notFound(deliveryId);
      deps.wakeSender?.();
      return delivery;
    },
  };
}
