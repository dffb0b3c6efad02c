import { defineConfig } from "vitest/config";

/** `npm run test:browser`: the chat of examples/chat in Chromium. One file per storage; its tests follow one another. */
export default defineConfig({
  test: {
    include: ["test/browser/**/*.test.ts"],
    globalSetup: ["test/browser/support/global-setup.ts"],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // What a page shows in between depends on when a busy machine lets it paint.
    retry: 1,
    maxWorkers: 2,
  },
});
