import { randomBytes } from "node:crypto";
import { HeddleError } from "../../core/errors.js";
import { isJsonObject, parseJsonText, toJsonText } from "../../core/json.js";
import type { RecordStore } from "../../core/record.js";

const KEY = { space: "openwop-keys", owner: "", collection: "", key: "interrupt-tokens" } as const;
const KEY_BYTES = 32;

/**
 * The key that signs links to interrupts: made once, by whichever process comes first, and kept in the storage (sealed where the
 * storage is encrypted), so that links hold across restarts and in every process.
 */
export async function tokenKey(records: Pick<RecordStore, "get" | "write">): Promise<Buffer> {
  const known = await records.get(KEY);
  if (known === null) {
    const secret = randomBytes(KEY_BYTES);
    const outcome = await records.write({
      ...KEY,
      value: toJsonText({ secret: secret.toString("base64") }),
      expected: 0,
    });
    if (outcome.kind === "written") return secret;
  }
  const record = known ?? (await records.get(KEY));
  const value = record === null ? null : parseJsonText(record.value);
  const secret = isJsonObject(value) && typeof value["secret"] === "string" ? value["secret"] : "";
  const key = Buffer.from(secret, "base64");
  if (key.length === KEY_BYTES) return key;
  throw new HeddleError("INTERNAL", { message: "The record openwop-keys/interrupt-tokens holds no key" });
}
