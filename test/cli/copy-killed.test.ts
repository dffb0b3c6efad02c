import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { seedStorage } from "../maintenance/seeded-storage.js";
import { createDatabase } from "../support/postgres.js";
import { heddle, startHeddle } from "./heddle.js";

const THREADS = 150;
const KILLS = 6;

let dir: string;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "heddle-copy-killed-"));
  await seedStorage(`sqlite:${join(dir, "source.db")}`, THREADS);
}, 120_000);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

it.each(["SQLite", "Postgres"])(
  "the same command goes on after kill -9 at random points: into %s",
  { timeout: 180_000 },
  async (kind) => {
    const database = kind === "Postgres" ? await createDatabase() : null;
    const to = database?.uri ?? "sqlite:target.db";
    const args = ["copy", "--from", "sqlite:source.db", "--to", to];
    try {
      let killed = 0;
      for (let kill = 0; kill < KILLS; kill += 1) {
        const running = startHeddle(args, { cwd: dir });
        await running.entry(/the same command goes on/);
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
        // null: it did not end by itself before.
        if ((await running.stop("SIGKILL")) !== null) break;
        killed += 1;
      }
      expect(killed).toBeGreaterThanOrEqual(3);
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
    } finally {
      await database?.drop();
    }
  },
);
