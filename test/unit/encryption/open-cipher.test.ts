import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { createApp } from "../../../src/app.js";
import { describeConfig, secretsOf } from "../../../src/config/describe.js";
import { resolveConfig } from "../../../src/config/resolve.js";
import type { EncryptionKeysFrom, EncryptionKeySource } from "../../../src/core/cipher.js";
import { openCipher } from "../../../src/encryption/open-cipher.js";
import { echo } from "../../fixtures/graphs/index.js";
import { newKey } from "../../support/cipher.js";

const cwd = mkdtempSync(join(tmpdir(), "heddle-keys-"));
afterAll(() => rmSync(cwd, { recursive: true, force: true }));

const open = (from: EncryptionKeysFrom, exported?: unknown) =>
  openCipher({ from, strict: false, clearItemFields: [] }, async () => exported);
const bytes = Buffer.alloc(32, 7);

describe("keys", () => {
  it("reads a file of keys", async () => {
    const path = join(cwd, "keys");
    writeFileSync(path, `# rotated in May\n${newKey("k2")}\n${newKey("k1")}\n`);
    expect((await open({ kind: "file", path, name: "encryption.keyFile" }))?.activeKeyId).toBe("k2");
    const missing = open({ kind: "file", path: `${path}.gone`, name: "encryption.keyFile" });
    await expect(missing).rejects.toMatchObject({ code: "CONFIG_INVALID", message: /keyFile.*cannot be read/ });
  });

  it("asks a function, or the one that a module exports", async () => {
    const load: EncryptionKeySource = async () => ({ active: "b", keys: { a: bytes.toString("hex"), b: bytes } });
    expect((await open({ kind: "function", load }))?.activeKeyId).toBe("b");
    expect((await open({ kind: "module", path: "./keys.ts", cwd }, load))?.activeKeyId).toBe("b");
  });

  it.each<[string, unknown, string, RegExp]>([
    ["no function", { active: "a" }, "CONFIG_INVALID", /must export a function/],
    ["Python's Encryption", { encrypt: {}, decrypt: {} }, "UNSUPPORTED_OPTION", /exist for Python only/],
    ["another shape", () => ({ key: "x" }), "CONFIG_INVALID", /must return \{ active/],
    [
      "an active key that is missing",
      () => ({ active: "b", keys: { a: bytes } }),
      "CONFIG_INVALID",
      /"b" is not among/,
    ],
    ["a short key", () => ({ active: "a", keys: { a: "c2VjcmV0" } }), "CONFIG_INVALID", /32 bytes/],
    ["an exception", () => Promise.reject(new Error("the vault is sealed")), "CONFIG_INVALID", /the vault is sealed/],
  ])("refuses %s", async (_, exported, code, message) => {
    const opening = open({ kind: "module", path: "./keys.ts:keys", cwd }, exported);
    await expect(opening).rejects.toMatchObject({ code, message: expect.stringMatching(message) as string });
  });
});

describe("configuration", () => {
  it("loads the module of langgraph.json", async () => {
    const key = newKey("m1");
    writeFileSync(
      join(cwd, "keys.mjs"),
      `export const keys = () => ({ active: "m1", keys: { m1: "${key.slice(3)}" } });`,
    );
    const manifest = { graphs: {}, encryption: { path: "./keys.mjs:keys" } };
    writeFileSync(join(cwd, "langgraph.json"), JSON.stringify(manifest));
    const options = { graphs: { echo }, storage: "sqlite:./m.db", env: {}, cwd, logLevel: "silent" } as const;
    const server = await createApp({ ...options, config: "langgraph.json" });
    const body = JSON.stringify({ assistant_id: "echo", input: { messages: [{ role: "user", content: "hi" }] } });
    const answer = await server.fetch(new Request("http://localhost/runs/wait", { method: "POST", body }));
    expect(await answer.text()).toContain("echo: hi");
    const thread = await server.fetch(new Request("http://localhost/threads", { method: "POST", body: "{}" }));
    const { thread_id: threadId } = (await thread.json()) as { thread_id: string };
    const run = new Request(`http://localhost/threads/${threadId}/runs/wait`, { method: "POST", body });
    expect(await (await server.fetch(run)).text()).toContain("echo: hi");
    await server.close();
    const other = createApp({ ...options, encryption: { keys: newKey("m2") } });
    await expect(other).rejects.toMatchObject({ code: "DECRYPTION_FAILED", details: { keyId: "m1" } });
  });

  it("prints no key", async () => {
    const key = newKey("k1");
    const env = { HEDDLE_ENCRYPTION_KEY: key };
    const config = await resolveConfig({ options: { graphs: { echo }, storage: "memory:", env } });
    const printed = JSON.stringify(describeConfig(config));
    expect(printed).toContain("keys from HEDDLE_ENCRYPTION_KEY");
    expect(printed).not.toContain(key.slice(3));
    expect(secretsOf(config)).toEqual(expect.arrayContaining([key, key.slice(3)]));
  });

  it("takes options before the environment, and one source of each", async () => {
    const env = { HEDDLE_ENCRYPTION_KEY: newKey("e") };
    const base = { graphs: { echo }, storage: "memory:" };
    const given = await resolveConfig({ options: { ...base, env, encryption: { keys: newKey("o") } } });
    expect(given.encryption?.from).toMatchObject({ name: "encryption.keys" });
    const both = { ...env, HEDDLE_ENCRYPTION_KEY_FILE: "keys" };
    await expect(resolveConfig({ options: { ...base, env: both } })).rejects.toThrow(/HEDDLE_ENCRYPTION_KEY_FILE/);
    const neither = resolveConfig({ options: { ...base, env: {}, encryption: { strict: true } } });
    await expect(neither).rejects.toThrow(/either keys or keyFile/);
  });
});
