import { setTimeout as sleep } from "node:timers/promises";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readProgress } from "../../src/maintenance/copy-progress.js";
import { createStoreRegistry } from "../../src/stores/registry.js";
import { seedStorage } from "../maintenance/seeded-storage.js";
import { createDatabase } from "../support/postgres.js";
import { heddle, startHeddle } from "./heddle.js";

const THREADS = 150;
/** Of copies that had begun. */
const KILLS = 4;
const MAX_STARTS = 20;
/** Pauses before a kill, at most: so much longer after each copy that was killed before it had begun. */
const FIRST_PAUSE_MS = 20;

let dir: string;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "heddle-copy-killed-"));
  await seedStorage(`sqlite:${join(dir, "source.db")}`, THREADS);
}, 120_000);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** How far the copy in a target has come. */
async function progressIn(uri: string): Promise<unknown> {
  const { metadata, items } = await createStoreRegistry().open(uri, { cwd: dir });
  try {
    return await readProgress(items);
  } finally {
    await items.close();
    await metadata.close();
  }
}

/**
 * Kill the copy into `to` again and again.
 * @returns how often it had begun by then; `null` when it was faster than its killer
 */
async function killCopies(to: string, args: readonly string[]): Promise<number | null> {
  let killed = 0;
  let pauseMs = FIRST_PAUSE_MS;
  for (let start = 0; start < MAX_STARTS && killed < KILLS; start += 1) {
    const running = startHeddle(args, { cwd: dir });
    await running.entry(/the same command goes on/);
    await sleep(Math.random() * pauseMs);
    // null: it did not end by itself before.
    if ((await running.stop("SIGKILL")) !== null) return null;
    const progress = await progressIn(to);
    // What was there once never goes.
    expect(killed === 0 || progress !== null).toBe(true);
    if (progress !== null) killed += 1;
    else pauseMs *= 1.5;
  }
  return killed;
}

it.each(["SQLite", "Postgres"])(
  "the same command goes on after kill -9 at random points: into %s",
  { timeout: 180_000 },
  async (kind) => {
    for (let attempt = 0; ; attempt += 1) {
      const database = kind === "Postgres" ? await createDatabase() : null;
      const to = database?.uri ?? `sqlite:target-${attempt}.db`;
      const args = ["copy", "--from", "sqlite:source.db", "--to", to];
      try {
        const killed = await killCopies(to, args);
        // On a machine that is busy elsewhere the copy may end in any pause: another one, into another target.
        if (killed === null && attempt < 5) continue;
        expect(killed).toBe(KILLS);
        expectWhole(args);
        return;
      } finally {
        await database?.drop();
      }
    }
  },
);

function expectWhole(args: readonly string[]): void {
  const { status, stdout, stderr } = heddle(args, { cwd: dir });
  expect(stderr).toBe("");
  expect(stdout).toMatch(/The copy is complete \(an earlier one was continued\): all checksums agree/);
  for (const [what, rows] of [
    ["threads", THREADS],
    ["items", THREADS],
    ["runs", THREADS + Math.ceil(THREADS / 3) + Math.ceil(THREADS / 4)],
  ] as const) {
    expect(stdout).toMatch(new RegExp(`equal +${what} +${rows} rows +([0-9a-f]{12}) \\1\\n`));
  }
  expect(status).toBe(0);
}
