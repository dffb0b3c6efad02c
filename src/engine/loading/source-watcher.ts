import { type FSWatcher, watch } from "node:fs";
import { stat } from "node:fs/promises";
import path from "node:path";
import type { Logger } from "../../core/logger.js";

/** Calls back, debounced, when one of a changing set of files changes, also when it is replaced, removed or created. */
export interface SourceWatcher {
  /**
   * Watch these files from now on.
   * @param since a file that changed after this time (epoch ms) counts as changed now
   * @param anyFile also call for any other source file in their folders: what an unresolved import may be waiting for
   */
  follow(files: Iterable<string>, options: { readonly since: number; readonly anyFile: boolean }): Promise<void>;
  close(): void;
}

const SOURCE = /\.([cm]?[jt]sx?|json|css)$/;

export function createSourceWatcher(options: {
  readonly onChange: () => void;
  /** Quiet time before the call. Default 50. */
  readonly debounceMs?: number;
  readonly logger?: Logger | undefined;
}): SourceWatcher {
  const { onChange, debounceMs = 50, logger } = options;
  const folders = new Map<string, FSWatcher>();
  let files: ReadonlySet<string> = new Set();
  let modified: ReadonlyMap<string, number> = new Map();
  let anyFile = false;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  const changed = (): void => {
    if (closed) return;
    clearTimeout(timer);
    timer = setTimeout(onChange, debounceMs);
  };

  /** A file of ours, a folder that one of them is to appear in, or any source while something is missing. */
  const concerns = (changedPath: string): boolean =>
    files.has(changedPath) ||
    (anyFile && SOURCE.test(changedPath)) ||
    [...files].some((file) => file.startsWith(changedPath + path.sep));

  // Folders are watched and not files: editors replace files by renaming, which ends the watch of a file.
  const watchFolder = (folder: string): void => {
    try {
      const watcher = watch(folder, { persistent: false }, (_, name) => {
        if (name === null || concerns(path.join(folder, name))) changed();
      });
      watcher.on("error", () => {
        watcher.close();
        folders.delete(folder);
        changed();
      });
      folders.set(folder, watcher);
    } catch (error) {
      logger?.warn({ folder, error: String(error) }, `Cannot watch ${folder}: changes there need a restart`);
    }
  };

  return {
    async follow(given, { since, anyFile: any }) {
      if (closed) return;
      files = new Set(given);
      anyFile = any;
      const wanted = new Set<string>();
      for (const file of files) wanted.add(await existingFolder(path.dirname(file)));
      for (const [folder, watcher] of folders) {
        if (wanted.has(folder)) continue;
        watcher.close();
        folders.delete(folder);
      }
      if (closed) return;
      for (const folder of wanted) if (!folders.has(folder)) watchFolder(folder);
      const before = modified;
      const now = new Map<string, number>();
      for (const file of files) now.set(file, (await stat(file).catch(() => null))?.mtimeMs ?? 0);
      modified = now;
      // A time in the future (another machine's clock) counts once and not for ever.
      if ([...now].some(([file, mtimeMs]) => mtimeMs > since && before.get(file) !== mtimeMs)) changed();
    },
    close() {
      closed = true;
      clearTimeout(timer);
      for (const watcher of folders.values()) watcher.close();
      folders.clear();
    },
  };
}

/** The folder, or the nearest one above it that exists. */
async function existingFolder(folder: string): Promise<string> {
  for (let dir = folder; ; dir = path.dirname(dir)) {
    if ((await stat(dir).catch(() => null))?.isDirectory() === true || path.dirname(dir) === dir) return dir;
  }
}
