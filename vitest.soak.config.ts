import { defineConfig } from "vitest/config";

/** Long runs, outside CI: `npm run soak`. One file at a time, so that the figures are its own. */
export default defineConfig({
  test: { include: ["test/soak/**/*.test.ts"], testTimeout: 3_600_000, hookTimeout: 60_000, fileParallelism: false },
});
