import { defineConfig } from "vitest/config";

/** Long runs, outside CI: `npm run soak`. One file at a time, so that the figures are its own. */
export default defineConfig({
  test: {
    include: ["test/soak/**/*.test.ts", "test/fault/chaos.test.ts"],
    globalSetup: ["test/support/global-setup.ts"],
    env: { CHAOS_THREADS: "200", CHAOS_RUNS: "2000", CHAOS_MS: "60000" },
    testTimeout: 3_600_000,
    hookTimeout: 60_000,
    fileParallelism: false,
  },
});
