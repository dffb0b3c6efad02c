import { defineConfig } from "vitest/config";

/**
 * One plain project. `npm test` runs everything under `test/` that needs nothing but npm's packages; suites that need
 * Python live in `test/python` (pytest), long runs in `test/soak` (`npm run soak`).
 */
export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/soak/**", "test/python/**"],
    testTimeout: 20_000,
    hookTimeout: 30_000,
    // Two workers: a CI machine has two cores, and the fault tests start servers of their own.
    maxWorkers: 2,
    coverage: {
      provider: "v8",
      include: ["src/**/*.ts"],
      exclude: ["src/testing/**"],
      reporter: ["text-summary", "json-summary"],
    },
  },
});
