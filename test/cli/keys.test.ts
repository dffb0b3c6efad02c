import Database from "better-sqlite3";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createApp } from "../../src/app.js";
import { apiKey } from "../../src/auth/api-key.js";
import { counter } from "../fixtures/graphs/index.js";
import { createDatabase } from "../support/postgres.js";
import { heddle } from "./heddle.js";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "heddle-keys-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const run = (...args: readonly string[]) => heddle(["keys", ...args], { cwd: dir });
const SECRET = /hdl_[A-Za-z0-9_-]{43}/;
const SILENT = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

type KeyDocument = Readonly<Record<string, unknown>> & { readonly key_id: string; readonly secret: string };

describe("heddle keys", () => {
  it("makes a key whose secret is printed once and stored nowhere, and which a server takes until it is revoked", async () => {
    const created = run(
      "create",
      "--identity",
      "ada",
      "--permission",
      "threads:*",
      "reader",
      "--expires-in",
      "90d",
      "--json",
    );
    expect(created).toMatchObject({ status: 0, stderr: "" });
    const key = JSON.parse(created.stdout) as KeyDocument;
    expect(key).toMatchObject({
      identity: "ada",
      tenant: null,
      label: "",
      permissions: ["threads:*", "reader"],
      revoked_at: null,
    });
    expect(Date.parse(String(key["expires_at"])) - Date.parse(String(key["created_at"]))).toBe(90 * 86_400_000);
    expect(key.secret).toMatch(SECRET);

    const listed = run("list");
    expect(listed.stdout).toContain(key.key_id);
    expect(listed.stdout + run("list", "--json").stdout).not.toMatch(/hdl_|digest/);
    const files = readdirSync(join(dir, ".heddle")).map((file) => readFileSync(join(dir, ".heddle", file)));
    expect(files.length).toBeGreaterThan(0);
    expect(files.some((bytes) => bytes.includes(key.key_id))).toBe(true);
    expect(files.some((bytes) => bytes.includes(key.secret))).toBe(false);

    const storage = `sqlite:${join(dir, ".heddle/heddle.db")}`;
    const server = await createApp({
      graphs: { counter },
      storage,
      auth: apiKey({ cacheMs: 0 }),
      env: {},
      logger: SILENT,
    });
    const ask = async () =>
      (await server.app.request("/threads/search", { method: "POST", headers: { "x-api-key": key.secret } })).status;
    try {
      expect(await ask()).toBe(200);
      // While the server runs: by another process.
      const revoked = run("revoke", key.key_id);
      expect(revoked).toMatchObject({ status: 0, stderr: "" });
      expect(revoked.stdout).toMatch(/^revoked /);
      expect(await ask()).toBe(401);
    } finally {
      await server.close();
    }
    expect((JSON.parse(run("list", "--json").stdout) as readonly KeyDocument[])[0]?.["revoked_at"]).not.toBeNull();
  });

  it("prints for people what is worth knowing, the secret on the first line", () => {
    const { status, stdout } = run("create", "--identity", "ada", "--tenant", "acme", "--label", "laptop");
    expect(status).toBe(0);
    expect(stdout).toMatch(/^hdl_[A-Za-z0-9_-]{43}\n/);
    for (const line of [
      /identity +ada/,
      /tenant +acme/,
      /label +laptop/,
      /permissions +\*/,
      /expires +never/,
      /heddle\.db/,
    ]) {
      expect(stdout).toMatch(line);
    }
    const database = new Database(join(dir, ".heddle/heddle.db"), { readonly: true });
    const rows = database.prepare("SELECT * FROM api_keys").all();
    database.close();
    expect(rows).toHaveLength(1);
    expect(JSON.stringify(rows)).not.toMatch(SECRET);
  });

  it("works on the storage that it is told, and says where that is without its password", async () => {
    const { uri, drop } = await createDatabase();
    try {
      expect(run("list", "--storage", uri).stdout).toMatch(/^no keys in postgres:\/\/postgres:\*\*\*@/);
      expect(run("create", "--identity", "ada", "--storage", uri).status).toBe(0);
      expect(run("list", "--storage", uri).stdout).toContain("ada");
      expect(run("list").stdout).toMatch(/^no keys in sqlite:/);
    } finally {
      await drop();
    }
  });

  it.each([
    [["create"], /--identity/],
    [["create", "--identity", ""], /identity: must have 1 to 256 characters/],
    [["create", "--identity", "a", "--permission", "threads:fly"], /"threads:fly" is no permission/],
    [["create", "--identity", "a", "--expires-in", "0d"], /30m, 12h, 90d/],
    [["create", "--identity", "a", "--expires-in", "soon"], /30m, 12h, 90d/],
    [["create", "--identity", "a", "--storage", "memory:"], /ends with this command.*--storage/],
    [["revoke"], /key-id/],
    [["revoke", "nobody"], /There is no key nobody/],
  ])("refuses %j and says what to do", (args, message) => {
    const { status, stdout, stderr } = run(...args);
    expect(status).toBe(1);
    expect(stdout).toBe("");
    expect(stderr).toMatch(message);
  });
});
