import { type FSWatcher, watch } from "node:fs";
import { basename, dirname } from "node:path";

/** Editors write a file in several steps; a change is reported once they have been quiet for this long. */
const SETTLE_MS = 100;

/**
 * Report changes of a few files, which may come and go. Their folders are watched: many editors replace a file instead
 * of writing it, and a watch on the file would stay with the old one.
 * @param files absolute paths
 */
export function watchFiles(files: readonly string[], onChange: () => void): { close(): void } {
  let timer: NodeJS.Timeout | undefined;
  const namesByDir = Map.groupBy(files, dirname);
  const watchers = [...namesByDir].flatMap(([dir, paths]) => {
    const names = new Set(paths.map((path) => basename(path)));
    const listener = (_event: string, name: string | null) => {
      if (name !== null && !names.has(name)) return;
      clearTimeout(timer);
      timer = setTimeout(onChange, SETTLE_MS);
    };
    return openWatcher(dir, listener);
  });
  return {
    close() {
      clearTimeout(timer);
      for (const watcher of watchers) watcher.close();
    },
  };
}

function openWatcher(dir: string, listener: (event: string, name: string | null) => void): readonly FSWatcher[] {
  try {
    const watcher = watch(dir, listener);
    // A folder that is removed ends its watch; there is nothing left to report.
    watcher.on("error", () => watcher.close());
    return [watcher];
  } catch {
    return [];
  }
}
