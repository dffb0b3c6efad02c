import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

/** Debian's Chromium, or the one that `CHROMIUM_PATH` names. */
const executablePath = process.env["CHROMIUM_PATH"] ?? "/usr/bin/chromium";

/**
 * Whether there is a browser to test in. Without one the suite is skipped, loudly.
 * @throws in CI
 */
export function hasChromium(): boolean {
  if (existsSync(executablePath)) return true;
  const why = `no Chromium at ${executablePath} (Debian: apt-get install chromium; elsewhere set CHROMIUM_PATH)`;
  if (process.env["CI"]) throw new Error(why);
  console.warn(`SKIPPED: the React chat: ${why}`);
  return false;
}

export function startChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath,
    // As root its sandbox refuses to start.
    chromiumSandbox: process.getuid?.() !== 0,
    // /dev/shm of a container may be small.
    args: ["--disable-dev-shm-usage", "--disable-gpu"],
  });
}
