import { afterEach } from "vitest";
import type { AppOptions } from "../../src/config/options.js";
import { listen } from "../../src/node/listen.js";
import { type HttpApp, openHttpApp } from "./app.js";

const closers: (() => Promise<void>)[] = [];

/** Whatever is told to {@link atEnd} in a test is closed when it ends, the last one first. To be called once in a file. */
export function closeAtEnd(): void {
  afterEach(async () => {
    for (const closer of closers.splice(0).toReversed()) await closer();
  });
}

export function atEnd(close: () => Promise<void>): void {
  closers.push(close);
}

/** Runs that wait long are given up when the test ends. */
export function openImpatientApp({ worker, ...options }: Partial<AppOptions> = {}): Promise<HttpApp> {
  return openHttpApp({ worker: { drainMs: 0, ...worker }, ...options });
}

/** Serve an app on a port of its own until the test ends. @returns its URL */
export async function listening(app: HttpApp): Promise<string> {
  const listener = await listen(app, { port: 0 });
  atEnd(() => listener.close({ graceMs: 0 }));
  return listener.url;
}
