import * as fc from "fast-check";
import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import {
  areSealed,
  openJson,
  openJsonText,
  type Place,
  SEALED_TEXT,
  sealJson,
  sealJsonText,
} from "../../../src/core/cipher.js";
import { type JsonValue, toJsonText } from "../../../src/core/json.js";
import { parseEnvelope } from "../../../src/encryption/envelope.js";
import { cipherOf, newKey } from "../../support/cipher.js";

const place: Place = ["thread", "t1", "values"];
const failed = (keyId?: string | null) => ({
  code: "DECRYPTION_FAILED",
  ...(keyId !== undefined && { details: expect.objectContaining({ keyId }) as object }),
});
const thrown = (work: () => unknown): unknown => {
  try {
    work();
  } catch (error) {
    return error;
  }
  return undefined;
};

describe("envelope", () => {
  const cipher = cipherOf(newKey("k1"));
  const places = fc.array(fc.oneof(fc.string({ unit: "binary" }), fc.integer()), { maxLength: 5 });

  it("gives back any bytes and any JSON, in their place", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2_000 }), fc.jsonValue(), places, (bytes, value, at) => {
        expect(Buffer.from(cipher.openBytes(cipher.sealBytes(bytes, at), at))).toEqual(Buffer.from(bytes));
        const text = toJsonText(value);
        expect(openJsonText(cipher, sealJsonText(cipher, text, at), at)).toBe(text);
        expect(openJson(cipher, sealJson(cipher, value as JsonValue, at), at)).toEqual(JSON.parse(text));
      }),
    );
  });

  it("keeps lone surrogates and `__proto__`", () => {
    const text = '{"__proto__":{"a":1},"lone":"\ud800"}';
    const opened = openJsonText(cipher, sealJsonText(cipher, toJsonText(JSON.parse(text) as JsonValue), place), place);
    expect(JSON.parse(opened)).toEqual(JSON.parse(text));
    expect(Object.keys(JSON.parse(opened) as object)).toEqual(["__proto__", "lone"]);
    const raw = JSON.parse(
      cipher.openText(cipher.sealText(JSON.stringify("x").replace("x", "\ud800"), place), place),
    ) as unknown;
    expect(raw).toBe("\ud800");
  });

  it("does not open when any one byte is another, or some are missing", () => {
    const sealed = cipher.sealBytes(Buffer.from("what nobody may change"), place);
    for (let at = 0; at < sealed.length; at += 1) {
      for (const bit of [1, 128]) {
        const changed = Buffer.from(sealed);
        changed[at] = (changed[at] ?? 0) ^ bit;
        expect(
          thrown(() => cipher.openBytes(changed, place)),
          `byte ${at}`,
        ).toMatchObject(failed());
      }
      expect(
        thrown(() => cipher.openBytes(sealed.subarray(0, at), place)),
        `${at} bytes`,
      ).toMatchObject(failed());
    }
    expect(thrown(() => cipher.openBytes(Buffer.concat([sealed, Buffer.of(0)]), place))).toMatchObject(failed("k1"));
  });

  it("does not open in another place, nor where the parts of a place are cut elsewhere", () => {
    fc.assert(
      fc.property(places, places, (here, there) => {
        fc.pre(JSON.stringify(here) !== JSON.stringify(there));
        const sealed = cipher.sealText("x", here);
        expect(thrown(() => cipher.openText(sealed, there))).toMatchObject(failed("k1"));
      }),
    );
    expect(thrown(() => cipher.openText(cipher.sealText("x", ["a", "b"]), ["a b"]))).toMatchObject(failed());
    expect(thrown(() => cipher.openText(cipher.sealText("x", ["a", 1]), ["a", "1"]))).toMatchObject(failed());
  });

  it("never shows the clear text, and differs each time; of equal bytes in one place only while a data key lasts", () => {
    const texts = new Set(Array.from({ length: 50 }, () => cipher.sealText("the secret", place)));
    expect(texts.size).toBe(50);
    const bytes = Buffer.from("the secret");
    expect(cipher.sealBytes(bytes, place)).toEqual(cipher.sealBytes(bytes, place));
    expect(cipher.sealBytes(bytes, place)).not.toEqual(cipher.sealBytes(bytes, ["elsewhere"]));
    expect(Buffer.from(cipher.sealBytes(bytes, place)).includes("secret")).toBe(false);
    const key = newKey("k1");
    expect(cipherOf(key).sealBytes(bytes, place)).not.toEqual(cipherOf(key).sealBytes(bytes, place));
  });
});

describe("data keys", () => {
  it("are made anew after a time and after a number of values; all of them are opened", () => {
    let now = 0;
    const key = newKey("k1");
    const cipher = cipherOf(key, { maxSeals: 2, dataKeyMs: 1_000, now: () => now });
    const wrapped = (sealed: string): string =>
      parseEnvelope(Buffer.from(sealed, "base64url"))?.wrapped.toString("hex") ?? "none";
    const sealed = Array.from({ length: 3 }, () => cipher.sealText("x", place));
    expect(new Set(sealed.map(wrapped)).size).toBe(2);
    now = 1_000;
    sealed.push(cipher.sealText("x", place));
    expect(new Set(sealed.map(wrapped)).size).toBe(3);
    const other = cipherOf(key);
    for (const each of sealed) expect(other.openText(each, place)).toBe("x");
  });
});

describe("key ring", () => {
  it("opens what older keys sealed, and names the key that is missing or another", () => {
    const [k1, k2] = [newKey("k1"), newKey("k2")];
    const sealed = cipherOf(k1).sealText("old", place);
    expect(cipherOf([k2, k1]).openText(sealed, place)).toBe("old");
    expect(cipherOf([k2, k1]).keyIdOf(sealed)).toBe("k1");
    const missing = thrown(() => cipherOf(k2).openText(sealed, place));
    expect(missing).toMatchObject({
      ...failed("k1"),
      message: expect.stringMatching(/key "k1", which is not among/) as string,
    });
    const namesake = thrown(() => cipherOf(newKey("k1")).openText(sealed, place));
    expect(namesake).toMatchObject({ ...failed("k1"), message: expect.stringMatching(/not the one/) as string });
  });

  it("reads base64, base64url and hex, with an id or without, comments, commas and lines", () => {
    const bytes = randomBytes(32);
    const spellings = [bytes.toString("base64"), bytes.toString("base64url"), bytes.toString("hex")];
    const [sealed] = spellings.map((key) => cipherOf(`a:${key}`).sealText("x", place));
    for (const key of spellings) {
      expect(cipherOf(`# ours\na:${key} # the active one\n`).openText(sealed ?? "", place)).toBe("x");
      expect(cipherOf(`${newKey("b")},a:${key}`).openText(sealed ?? "", place)).toBe("x");
    }
    const unnamed = new Set(spellings.map((key) => cipherOf(key).activeKeyId));
    expect([...unnamed]).toEqual([expect.stringMatching(/^[0-9a-f]{12}$/)]);
  });

  it.each([
    ["nothing", " # none\n", /no key/],
    ["a short key", "a:c2hvcnQ=", /32 bytes/],
    ["an id twice", `${newKey("a")} ${newKey("a")}`, /two keys/],
    ["an id with spaces of another kind", `ä:${randomBytes(32).toString("base64")}`, /letters/],
  ])("refuses %s, without quoting it", (_, text, message) => {
    const error = thrown(() => cipherOf(text)) as Error;
    expect(error).toMatchObject({ code: "CONFIG_INVALID", message: expect.stringMatching(message) as string });
    for (const entry of text.split(/[\s,]+/).filter((part) => part.includes(":"))) {
      expect(error.message).not.toContain(entry.slice(entry.indexOf(":") + 1));
    }
  });
});

describe("clear values", () => {
  it("are read as they are, and refused when strict", () => {
    const key = newKey("k1");
    const text = toJsonText({ a: 1 });
    expect(openJsonText(cipherOf(key), text, place)).toBe(text);
    expect(thrown(() => openJsonText(cipherOf(key, { strict: true }), text, place))).toMatchObject(failed());
    expect(openJson(cipherOf(key), { $heddle: 1 }, place)).toEqual({ $heddle: 1 });
    for (const own of [{ $heddle: "made up" }, { $heddle: "" }, { $heddle: "x", a: "b" }]) {
      expect(openJson(cipherOf(key), own, place)).toEqual(own);
      expect(openJsonText(cipherOf(key), toJsonText(own), place)).toBe(toJsonText(own));
      expect(thrown(() => openJson(cipherOf(key, { strict: true }), own, place))).toMatchObject(failed());
    }
    const forged = { $heddle: `${SEALED_TEXT}EA` };
    expect(thrown(() => openJson(cipherOf(key), forged, place))).toMatchObject(failed(null));
    expect(cipherOf(key).sealText("", place).startsWith(SEALED_TEXT)).toBe(true);
    expect(areSealed(Buffer.from("[1]"))).toBe(false);
  });
});
