import { existsSync, readFileSync } from "node:fs";

/** What a step of the `audited` graph wrote when it started or ended. */
export interface AuditLine {
  readonly at: number;
  readonly pid: number;
  readonly phase: "start" | "end";
  readonly runId: string;
  readonly threadId: string;
  /** Which step of its thread. */
  readonly step: number;
}

/** The append-only file that the test graphs write: what really happened, outside all storages. */
export function readAudit(file: string): readonly AuditLine[] {
  if (!existsSync(file)) return [];
  // A process that is killed in the middle of its last line leaves half of it.
  return readFileSync(file, "utf8")
    .split("\n")
    .flatMap((line) => {
      try {
        return line === "" ? [] : [JSON.parse(line) as AuditLine];
      } catch {
        return [];
      }
    });
}

export interface AuditReport {
  /** Steps that were started more than once. */
  readonly repeated: number;
  /** Steps that were started again although their superstep was finished and stored, as `durability` has it. */
  readonly forbidden: readonly string[];
  /** Two runs of one thread overlapped, or one began a step while a step of the other was under way. */
  readonly overlaps: readonly string[];
  /** Runs of a thread began in another order than they were made. */
  readonly disorder: readonly string[];
  /** Steps of a thread that no run did to its end. */
  readonly missing: readonly string[];
}

/**
 * Hold the file against what Heddle promises: one run at a time per thread, in the order in which they were made; no step
 * lost; steps repeated only as `durability` allows: with `sync` none whose successor had started, with `async` none whose
 * successor's successor had.
 * @param runs all runs by thread, in the order of their creation, with the number of steps of each
 */
export function audit(
  lines: readonly AuditLine[],
  runs: ReadonlyMap<string, readonly { readonly runId: string; readonly steps: number }[]>,
  durability: "sync" | "async",
): AuditReport {
  const report = { repeated: 0, forbidden: [], overlaps: [], disorder: [], missing: [] } as {
    repeated: number;
    forbidden: string[];
    overlaps: string[];
    disorder: string[];
    missing: string[];
  };
  const slack = durability === "sync" ? 0 : 1;
  for (const [threadId, expected] of runs) {
    const own = lines.filter((line) => line.threadId === threadId);
    const order: string[] = [];
    let furthest = -1;
    const seen = new Set<number>();
    const done = new Set<number>();
    for (const [index, line] of own.entries()) {
      const { runId, step } = line;
      if (line.phase === "end") {
        done.add(step);
        continue;
      }
      for (const open of openAt(own, index)) {
        if (open.runId === runId) continue;
        report.overlaps.push(`${threadId}: ${runId} began step ${step} while ${open.runId} was in step ${open.step}`);
      }
      if (order.at(-1) !== runId) {
        if (order.includes(runId)) report.overlaps.push(`${threadId}: ${runId} after ${String(order.at(-1))}`);
        order.push(runId);
      }
      if (seen.has(step)) {
        report.repeated += 1;
        if (step + slack < furthest) report.forbidden.push(`${threadId}: step ${step} of ${runId} after ${furthest}`);
      }
      seen.add(step);
      furthest = Math.max(furthest, step);
    }
    const ids = expected.map(({ runId }) => runId);
    if (order.join() !== ids.join())
      report.disorder.push(`${threadId}: ${order.join(" ")} instead of ${ids.join(" ")}`);
    const steps = expected.reduce((sum, run) => sum + run.steps, 0);
    for (let step = 0; step < steps; step += 1) if (!done.has(step)) report.missing.push(`${threadId}: step ${step}`);
  }
  return report;
}

/** Steps that are under way at a line, as is known by hindsight: begun before and ended after it. Those of a process that was killed are not. */
function openAt(lines: readonly AuditLine[], index: number): readonly AuditLine[] {
  const ends = lines.slice(index).filter(({ phase }) => phase === "end");
  return lines.slice(0, index).filter((start, at) => {
    const isSame = (line: AuditLine): boolean =>
      line.pid === start.pid && line.runId === start.runId && line.step === start.step && line.phase === "end";
    return start.phase === "start" && ends.some(isSame) && !lines.slice(at, index).some(isSame);
  });
}
