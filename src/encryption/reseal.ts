import {
  type Cipher,
  isSealedJsonText,
  openJson,
  openJsonText,
  type Place,
  SEALED_KEY,
  sealedTextOf,
  sealJson,
  sealJsonText,
} from "../core/cipher.js";
import { asJsonText, isJsonObject, type JsonObject, type JsonValue } from "../core/json.js";
import { kwargsText } from "../core/kwargs-text.js";
import type { RunKwargs } from "../core/run.js";
import { openVectors } from "./sealed-item-vectors.js";
import { openKwargs, PLACES, sealItem, sealKwargs } from "./sealed-rows.js";

/** What a rewrite makes of values: `active`, sealed under the active key; `clear`, not encrypted any more. */
export type ResealTarget = "active" | "clear";

/** A stored value that has been looked at. */
export interface Resealed<T> {
  /** Of what is stored; `null` when it is clear. */
  readonly keyId: string | null;
  /** What is to be stored instead; `null` when it is as it should be. */
  readonly next: T | null;
}

/** Looks at stored JSON texts, and makes others of those that are not as they should be. @throws HeddleError `DECRYPTION_FAILED` */
export interface Resealer {
  readonly cipher: Cipher;
  readonly target: ResealTarget;
  json(text: string, place: Place): Resealed<string>;
  /** The same of what has to stay to the last character: nobody parses it. */
  text(text: string, place: Place): Resealed<string>;
  /** `null` for an empty object or `null`, which stays clear where most rows have nothing. */
  object(text: string, place: Place): Resealed<string> | null;
  kwargs(text: string, runId: string): Resealed<string>;
  /** Also when other fields of it are to be clear than are. */
  item(text: string, namespace: readonly string[], key: string): Resealed<string>;
  /** Whether a value under this key (`null`: a clear one) stays as it is. */
  stays(keyId: string | null): boolean;
  /** Whether values that stay are opened, too: what names a key need not open with it. */
  readonly verifies: boolean;
}

/**
 * @param cipher not strict: clear values are what it is about
 * @param verifies open also what is under the active key already
 */
export function createResealer(cipher: Cipher, target: ResealTarget, verifies = false): Resealer {
  const keyIdOf = (value: JsonValue | undefined): string | null => {
    const sealed = sealedTextOf(value);
    return sealed === null ? null : (cipher.keyIdOf(sealed) ?? "unknown");
  };
  const stays = (keyId: string | null): boolean => keyId === (target === "active" ? cipher.activeKeyId : null);
  const json = (value: JsonValue, place: Place): Resealed<string> => {
    const keyId = keyIdOf(value);
    if (stays(keyId)) {
      if (verifies) openJson(cipher, value, place);
      return { keyId, next: null };
    }
    const clear = openJson(cipher, value, place);
    return { keyId, next: JSON.stringify(target === "clear" ? clear : sealJson(cipher, clear, place)) };
  };
  return {
    cipher,
    target,
    stays,
    verifies,
    json: (text, place) => json(JSON.parse(text) as JsonValue, place),
    text(text, place) {
      const keyId = isSealedJsonText(text) ? keyIdOf(JSON.parse(text) as JsonValue) : null;
      if (stays(keyId) && !verifies) return { keyId, next: null };
      const clear = openJsonText(cipher, asJsonText(text), place);
      if (stays(keyId)) return { keyId, next: null };
      return { keyId, next: target === "clear" ? clear : sealJsonText(cipher, clear, place) };
    },
    object(text, place) {
      const value = JSON.parse(text) as JsonValue;
      return value === null || (isJsonObject(value) && Object.keys(value).length === 0) ? null : json(value, place);
    },
    kwargs(text, runId) {
      const kwargs = JSON.parse(text) as RunKwargs;
      const keyId = keyIdOf(kwargs.input);
      if (stays(keyId)) {
        if (verifies) openKwargs(cipher, runId, kwargs);
        return { keyId, next: null };
      }
      const clear = openKwargs(cipher, runId, kwargs);
      return { keyId, next: kwargsText(target === "clear" ? clear : sealKwargs(cipher, runId, clear)) };
    },
    item(text, namespace, key) {
      const value = JSON.parse(text) as JsonObject;
      const keyId = keyIdOf(value);
      if (target === "clear" && keyId === null) return { keyId, next: null };
      const clear = openJson(cipher, value, PLACES.item(namespace, key)) as JsonObject;
      if (target === "clear") return { keyId, next: JSON.stringify(clear) };
      const vectors = openVectors(cipher, { namespace, key }, value);
      const sealed = sealItem(cipher, { namespace, key, value: clear, vectors });
      if (stays(keyId) && hasSameFields(value, sealed)) return { keyId, next: null };
      return { keyId, next: JSON.stringify(sealed) };
    },
  };
}

function hasSameFields(stored: JsonObject, wanted: JsonObject): boolean {
  const fields = (value: JsonObject): string => JSON.stringify(Object.keys({ ...value, [SEALED_KEY]: "" }).toSorted());
  return fields(stored) === fields(wanted);
}
