import { performance } from "node:perf_hooks";
import type { SchemaVersions } from "./schema-versions.js";
import { newerComponents, pendingComponents } from "./schema-versions.js";

/** One thing that `heddle doctor` looked at. */
export interface Finding {
  readonly check: string;
  /** `problem`: a server would not work, or lose something. `warning`: it works, not as well as it could. */
  readonly verdict: "ok" | "warning" | "problem";
  readonly detail: string;
  /** What to do; with every warning and problem. */
  readonly wayOut?: string;
}

export const ok = (check: string, detail: string): Finding => ({ check, verdict: "ok", detail });
export const warning = (check: string, detail: string, wayOut: string): Finding => ({
  check,
  verdict: "warning",
  detail,
  wayOut,
});
export const problem = (check: string, detail: string, wayOut: string): Finding => ({
  check,
  verdict: "problem",
  detail,
  wayOut,
});

const PINGS = 20;
/** A run costs some ten round trips, one after the other. */
const SLOW_PING_MS = 20;
const MAX_SKEW_MS = 5_000;

/** Round trips one after the other: median and slowest but one in a hundred (of twenty: the slowest). */
export async function pingFinding(ping: () => Promise<unknown>): Promise<Finding> {
  const times: number[] = [];
  // The first one may open a connection.
  await ping();
  for (let n = 0; n < PINGS; n += 1) {
    const startedAt = performance.now();
    await ping();
    times.push(performance.now() - startedAt);
  }
  times.sort((a, b) => a - b);
  const percentile = (share: number): number => times[Math.ceil(share * times.length) - 1] ?? 0;
  const [p50, p99] = [percentile(0.5), percentile(0.99)];
  const detail = `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms over ${PINGS} pings`;
  return p50 > SLOW_PING_MS
    ? warning("latency", detail, "Run Heddle near its database: a run costs some ten round trips.")
    : ok("latency", detail);
}

/**
 * How far a server's clock is from this process's.
 * @param measure asks the server once
 */
export async function clockFinding(
  measure: () => Promise<{ readonly serverMs: number; readonly roundTripMs: number }>,
): Promise<Finding> {
  const { serverMs, roundTripMs } = await measure();
  const skewMs = Math.round(serverMs - Date.now());
  const detail = `its clock is ${Math.abs(skewMs)} ms ${skewMs < 0 ? "behind" : "ahead"} (± ${Math.ceil(roundTripMs / 2)} ms)`;
  return Math.abs(skewMs) > MAX_SKEW_MS
    ? warning("clock", detail, "Leases go by its clock alone, so nothing is lost; set both by NTP, so that logs agree.")
    : ok("clock", detail);
}

/** Time a question that answers with the server's time, in milliseconds since 1970. */
export async function measureClock(
  ask: () => Promise<number>,
): Promise<{ readonly serverMs: number; readonly roundTripMs: number }> {
  const startedAt = performance.now();
  const answered = await ask();
  const roundTripMs = performance.now() - startedAt;
  return { serverMs: answered + roundTripMs / 2, roundTripMs };
}

/** Whether the tables fit this Heddle. */
export function schemaFinding(versions: SchemaVersions): Finding {
  const detail = versions.components.map(({ name, stored }) => `${name} ${stored}`).join(", ");
  const newer = newerComponents(versions);
  if (newer.length > 0 || versions.unknown.length > 0) {
    const tooNew = newer.map(({ name, stored, latest }) => `${name} ${stored} (known: ${latest})`);
    const names = [...tooNew, ...versions.unknown].join(", ");
    return problem("tables", `written by a newer Heddle: ${names}`, "Upgrade heddle, or use another database.");
  }
  const pending = pendingComponents(versions);
  if (pending.length === 0) return ok("tables", `${detail}, up to date`);
  const names = pending.map(({ name, stored, latest }) => `${name} ${stored} → ${latest}`).join(", ");
  const way = "`heddle migrate` does it now; a server does it by itself when it starts.";
  return warning("tables", `migrations are pending: ${names}`, way);
}

export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
