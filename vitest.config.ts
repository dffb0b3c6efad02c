import { defineConfig } from "vitest/config";

/**
 * One plain project. `npm test` runs everything under `test/` that needs nothing but npm's packages; suites that need
 * Python live in `test/python` (pytest), those that need Chromium in `test/browser` (`npm run test:browser`), long runs in
 * `test/soak` (`npm run soak`).
 */
export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/global-setup.ts"],
    exclude: ["test/soak/**", "test/python/**", "test/browser/**"],
    // FerretDB answers one command at a time and scans whole collections: what takes a second elsewhere takes it twenty.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // A shared CI machine may stand still for seconds. What needed a second try is named at the end of its run
    // (scripts/sum-reports.mjs); here a first failure is one.
    retry: process.env["CI"] === undefined ? 0 : 1,
    // Two workers: a CI machine has two cores, and the fault tests start servers of their own.
    maxWorkers: 2,
    coverage: {
      provider: "v8",
      include: ["src/**/*.ts"],
      // cli/ and the schema worker run in processes of their own, which the collector does not see; their tests spawn them.
      exclude: ["src/testing/**", "src/cli/**", "src/engine/static-schemas-process.ts"],
      reporter: ["text-summary", "json-summary"],
      reportOnFailure: true,
      // Under what is reached, so that only a real loss fails; the inner rings are held higher.
      thresholds: {
        statements: 88,
        branches: 82,
        functions: 88,
        lines: 90,
        "src/core/**": { lines: 95 },
        "src/wire/**": { lines: 98 },
        "src/stores/**": { lines: 97 },
        "src/streaming/**": { lines: 97 },
        "src/checkpointers/**": { lines: 95 },
      },
    },
  },
});
