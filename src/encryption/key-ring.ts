import { createHash } from "node:crypto";
import { HeddleError } from "../core/errors.js";
import { KEY_BYTES, MAX_KEY_ID_BYTES } from "./envelope.js";

/** Master keys by id. They wrap data keys and never touch a value. */
export interface KeyRing {
  /** Of the key that seals. */
  readonly activeId: string;
  readonly keys: ReadonlyMap<string, Buffer>;
}

const ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/**
 * Read keys as environment and key files hold them: `id:key`, or only the key, separated by commas, spaces or lines; the first one is
 * the active one. `#` begins a comment. A key is 32 bytes in base64, base64url or hex; without an id it is named by its digest.
 * @param source names where it comes from, for messages; keys are never quoted
 * @throws HeddleError `CONFIG_INVALID`
 */
export function parseKeyRing(text: string, source: string): KeyRing {
  const entries = text
    .replaceAll(/#[^\n]*/g, "")
    .split(/[\s,]+/)
    .filter((entry) => entry !== "");
  const keys = new Map<string, Buffer>();
  let activeId: string | undefined;
  for (const [at, entry] of entries.entries()) {
    const colon = entry.indexOf(":");
    const key = keyOf(entry.slice(colon + 1), `${source}: key ${at + 1}`);
    const id = colon === -1 ? fingerprint(key) : checkedId(entry.slice(0, colon), source);
    addKey(keys, id, key, source);
    activeId ??= id;
  }
  if (activeId === undefined) {
    throw invalid(`${source}: there is no key. Make one with \`openssl rand -base64 32\` and write it as id:key.`);
  }
  return { activeId, keys };
}

/** @throws HeddleError `CONFIG_INVALID` when a function returned something else than {@link EncryptionKeys} */
export function toKeyRing(given: unknown, source: string): KeyRing {
  const shape = `${source} must return { active: "id", keys: { id: <32 bytes, or their base64> } }`;
  if (!isRecord(given) || typeof given["active"] !== "string" || !isRecord(given["keys"])) throw invalid(`${shape}.`);
  const keys = new Map<string, Buffer>();
  for (const [id, value] of Object.entries(given["keys"])) {
    addKey(keys, checkedId(id, source), keyOf(value, `${source}: key "${id}"`), source);
  }
  const activeId = given["active"];
  if (!keys.has(activeId)) throw invalid(`${shape}; the active key "${activeId}" is not among them.`);
  return { activeId, keys };
}

/** Names a key without an id: the beginning of a digest that says nothing about it. */
function fingerprint(key: Buffer): string {
  return createHash("sha256").update("heddle encryption key id").update(key).digest("hex").slice(0, 12);
}

function keyOf(value: unknown, what: string): Buffer {
  const bytes = typeof value === "string" ? decoded(value.trim()) : value;
  if (!(bytes instanceof Uint8Array) || bytes.length !== KEY_BYTES) {
    throw invalid(`${what} must be ${KEY_BYTES} bytes, in base64 or hex. Make one with \`openssl rand -base64 32\`.`);
  }
  return Buffer.from(bytes);
}

function decoded(text: string): Buffer | null {
  if (/^[0-9a-f]{64}$/i.test(text)) return Buffer.from(text, "hex");
  return /^[A-Za-z0-9+/_-]{43}=?$/.test(text) ? Buffer.from(text, "base64") : null;
}

function checkedId(id: string, source: string): string {
  if (ID.test(id)) return id;
  // A key pasted in the place of its id must not be shown.
  throw invalid(
    `${source}: an id of a key is letters, digits, ".", "_" and "-", at most ${MAX_KEY_ID_BYTES} of them, before the ":".`,
  );
}

function addKey(keys: Map<string, Buffer>, id: string, key: Buffer, source: string): void {
  if (keys.has(id)) throw invalid(`${source}: there are two keys with the id "${id}".`);
  keys.set(id, key);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function invalid(message: string): HeddleError {
  return new HeddleError("CONFIG_INVALID", { message });
}
