import { setTimeout as sleep } from "node:timers/promises";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { seedStorage } from "../maintenance/seeded-storage.js";
import { rewriteStorage } from "../../src/maintenance/encrypt/rewrite-storage.js";
import { cipherOf, newKey } from "../support/cipher.js";
import { createDatabase } from "../support/postgres.js";
import { heddle, startHeddle } from "./heddle.js";

const THREADS = 150;
/** Of rewrites that had begun and not ended. */
const KILLS = 3;
const MAX_STARTS = 6;
/** Before a kill, at most, once something was rewritten. */
const PAUSE_MS = 20;

const key = newKey("k1");
const env = { HEDDLE_ENCRYPTION_KEY: key };
let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "heddle-encrypt-killed-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const encrypt = (uri: string, flag: string) => heddle(["encrypt", "--storage", uri, flag], { cwd: dir, env });

/** How many values are still clear. */
async function pendingIn(uri: string): Promise<number> {
  const options = { uri, context: { cwd: dir }, parts: "all", cipher: cipherOf(key), target: "active" } as const;
  const { counts } = await rewriteStorage({ ...options, isDryRun: true });
  return counts.reduce((sum, { wanted }) => sum + wanted, 0);
}

/** Checksums of all that a copy reads, when it is clear. */
function checksums(uri: string, name: string): readonly string[] {
  const { stdout, status, stderr } = heddle(["copy", "--from", uri, "--to", `sqlite:${name}.db`], { cwd: dir, env });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const lines = stdout.split("\n").filter((line) => line.includes("equal"));
  expect(lines.length).toBeGreaterThan(3);
  return lines;
}

it.each(["SQLite", "Postgres"])(
  "the same command goes on after kill -9 at random points, and nothing is lost: %s",
  { timeout: 240_000 },
  async (kind) => {
    const database = kind === "Postgres" ? await createDatabase() : null;
    const uri = database?.uri ?? `sqlite:${join(dir, "rewritten.db")}`;
    await seedStorage(uri, THREADS);
    const before = checksums(uri, `${kind}-before`);
    let pending = await pendingIn(uri);
    let killed = 0;
    for (let start = 0; start < MAX_STARTS && killed < KILLS && pending > 0; start += 1) {
      const running = startHeddle(["encrypt", "--storage", uri, "--rewrite"], { cwd: dir, env });
      while (running.child.exitCode === null && (await pendingIn(uri)) === pending) await sleep(5);
      await sleep(Math.random() * PAUSE_MS);
      const code = await running.stop("SIGKILL");
      const left = await pendingIn(uri);
      // What was done stays done.
      expect(left).toBeLessThanOrEqual(pending);
      if (code === null) killed += 1;
      pending = left;
    }
    expect(killed).toBeGreaterThan(0);
    const { status, stdout } = encrypt(uri, "--rewrite");
    expect(stdout).toMatch(/done: everything is under the key "k1"/);
    expect(status).toBe(0);
    expect(encrypt(uri, "--verify")).toMatchObject({ status: 0 });
    expect(checksums(uri, `${kind}-after`)).toEqual(before);
    await database?.drop();
  },
);
