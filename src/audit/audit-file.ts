import { type FileHandle, open, stat } from "node:fs/promises";
import type { AuditEntry } from "../core/audit.js";

/** How often to look whether the file was moved away by a rotation. */
const LOOK_EVERY_MS = 1_000;

/** Appends to a file, which may be rotated: when its name leads elsewhere, a new one is begun. */
export interface AuditFile {
  /** What was not written whole is to be appended again: its half line is ended first, and is no JSON. */
  append(entries: readonly AuditEntry[]): Promise<void>;
  close(): Promise<void>;
}

/**
 * Open a file for audit entries, readable for its owner alone.
 * @throws what opening it throws
 */
export async function openAuditFile(path: string, now: () => number = Date.now): Promise<AuditFile> {
  let file: FileHandle | null = await openAppending(path);
  let lookedAt = now();
  /** A failed write may have left half a line. */
  let isTorn = false;

  const current = async (): Promise<FileHandle> => {
    if (file !== null && now() - lookedAt >= LOOK_EVERY_MS) {
      lookedAt = now();
      const [there, ours] = await Promise.all([stat(path).catch(() => null), file.stat()]);
      if (there?.ino !== ours.ino || there.dev !== ours.dev) {
        const old = file;
        file = null;
        await old.close().catch(() => {});
      }
    }
    return (file ??= await openAppending(path));
  };

  return {
    async append(entries) {
      const text = entries.map((entry) => `${JSON.stringify(entry)}\n`).join("");
      try {
        await (await current()).appendFile(isTorn ? `\n${text}` : text);
        isTorn = false;
      } catch (error) {
        isTorn = true;
        const old = file;
        file = null;
        await old?.close().catch(() => {});
        throw error;
      }
    },
    async close() {
      const old = file;
      file = null;
      await old?.close();
    },
  };
}

function openAppending(path: string): Promise<FileHandle> {
  return open(path, "a", 0o600);
}
