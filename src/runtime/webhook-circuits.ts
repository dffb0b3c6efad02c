import type { Clock } from "../core/clock.js";
import { asJsonText, isJsonObject, parseJsonText } from "../core/json.js";
import type { RecordKey, RecordStore } from "../core/record.js";
import type { MessageCircuit } from "../core/webhook-message.js";

/** How long failures are remembered, beyond the rest that they led to. */
const REMEMBERED_MS = 24 * 3_600_000;
/** Writers of one circuit are the senders of its messages. One that loses this often has seen as many others count. */
const MAX_TRIES = 20;

/** What is known of a circuit. */
interface CircuitState {
  /** In a row. */
  readonly failures: number;
  /** Epoch milliseconds; 0 while it is closed. */
  readonly openUntil: number;
}

/**
 * Receivers that fail are left in peace for a while, by all processes and beyond restarts: the state is a record. After the rest
 * messages are tried again, and the first that fails begins the next one.
 */
export interface WebhookCircuits {
  /** @returns how long messages of it have to wait; 0 for not at all */
  restMs(circuit: MessageCircuit): Promise<number>;
  record(circuit: MessageCircuit, isDelivered: boolean): Promise<void>;
}

export function createWebhookCircuits(
  records: Pick<RecordStore, "get" | "write" | "remove">,
  clock: Pick<Clock, "now">,
): WebhookCircuits {
  return {
    async restMs({ name }) {
      const found = await records.get(keyOf(name));
      return found === null ? 0 : Math.max(0, stateOf(found.value).openUntil - clock.now());
    },

    async record({ name, failures, openMs }, isDelivered) {
      const key = keyOf(name);
      for (let tries = 0; tries < MAX_TRIES; tries += 1) {
        const found = await records.get(key);
        if (found === null && isDelivered) return;
        const expected = found?.version ?? 0;
        if (isDelivered) {
          if ((await records.remove({ ...key, expected })).kind !== "conflict") return;
          continue;
        }
        const failed = (found === null ? 0 : stateOf(found.value).failures) + 1;
        const openUntil = failed >= failures ? clock.now() + openMs : 0;
        const value = asJsonText(JSON.stringify({ failures: failed, openUntil } satisfies CircuitState));
        const written = await records.write({ ...key, value, expected, ttlMs: openMs + REMEMBERED_MS });
        if (written.kind === "written") return;
      }
    },
  };
}

function keyOf(name: string): RecordKey {
  return { space: "webhook-circuits", owner: "", collection: "", key: name };
}

function stateOf(value: Parameters<typeof parseJsonText>[0]): CircuitState {
  const state = parseJsonText(value);
  if (!isJsonObject(state)) return { failures: 0, openUntil: 0 };
  const { failures, openUntil } = state;
  return {
    failures: typeof failures === "number" ? failures : 0,
    openUntil: typeof openUntil === "number" ? openUntil : 0,
  };
}
