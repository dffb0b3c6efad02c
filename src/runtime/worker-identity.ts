import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

/**
 * A name for this process that a later process on the same machine can check: `host/boot/pidNamespace:pid:startTicks`.
 * After a crash the next start can so take back runs at once instead of waiting for their leases.
 */
export function createWorkerId(): string {
  return `${machine()}:${process.pid}:${startTicks(process.pid) ?? Math.round(performance.timeOrigin)}`;
}

/**
 * Whether the process that `workerId` names may still be alive. `true` when that can't be told from here (another
 * machine or container, or no `/proc`): its lease then decides.
 */
export function mayBeAlive(workerId: string): boolean {
  const match = /^(.*):(\d+):(\d+)$/.exec(workerId);
  if (match === null || match[1] !== machine()) return true;
  const pid = Number(match[2]);
  const ticks = startTicks(pid);
  if (ticks !== null) return String(ticks) === match[3];
  return pid !== process.pid && exists(pid);
}

function machine(): string {
  return `${hostname()}/${read("/proc/sys/kernel/random/boot_id") ?? "-"}/${pidNamespace()}`;
}

function pidNamespace(): string {
  try {
    return readlinkSync("/proc/self/ns/pid");
  } catch {
    return "-";
  }
}

/** Field 22 of `/proc/<pid>/stat` (proc(5)); `null` where there is no such process or no `/proc`. */
function startTicks(pid: number): number | null {
  const stat = read(`/proc/${pid}/stat`);
  // The command name in field 2 may hold spaces and parentheses: count from the last one.
  const ticks = Number(stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
  return Number.isFinite(ticks) ? ticks : null;
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return null;
  }
}
