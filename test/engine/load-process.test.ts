import { expect, test } from "vitest";
import { runChild } from "./child.js";

test("stack traces of nodes name the TypeScript sources", async () => {
  const { failures, stack } = (await runChild("stack-trace", {})) as { failures: number; stack: string };
  expect(failures).toBe(0);
  expect(stack).toContain("Error: from a node x");
  expect(stack).toContain("<project>/src/deep/fail.ts:7:9");
  expect(stack).toContain("<project>/src/agent.ts:6:23");
});

test("200 reloads do not leak", { timeout: 120_000 }, async () => {
  const result = await runChild("reload-heap", { flags: ["--expose-gc"] });
  const { value, early, late, growthKbPerReload, msPerReload } = result as Record<string, number | string>;
  console.info({ early, late, growthKbPerReload, msPerReload });
  expect(value).toBe("200");
  // A version that stayed would hold 2 MiB.
  expect(growthKbPerReload).toBeLessThan(40);
});
