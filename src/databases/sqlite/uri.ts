import { realpathSync } from "node:fs";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { HeddleError } from "../../core/errors.js";

/** Name that SQLite gives a private database in memory. */
export const MEMORY = ":memory:";

const FORMS = "sqlite:./file.db, sqlite:///absolute/file.db or sqlite::memory:";

/**
 * The file that a URI names, absolute; {@link MEMORY} for `sqlite:` and `sqlite::memory:`.
 * `sqlite:<path>` takes the path as it is, relative to `cwd`; `sqlite:///<path>` is absolute and percent-decoded.
 * @throws HeddleError `CONFIG_INVALID` for a host or for options.
 */
export function sqlitePath(uri: string, cwd: string): string {
  const rest = uri.replace(/^sqlite:/i, "");
  if (rest === uri) throw invalid(`it does not start with "sqlite:"`);
  if (rest === "" || rest === MEMORY || rest === "//" || rest === `//${MEMORY}` || rest === `///${MEMORY}`)
    return MEMORY;
  if (/[?#]/.test(rest)) throw invalid("options after ? or # are not supported");
  if (!rest.startsWith("//")) return canonical(resolve(cwd, rest));
  const path = rest.slice(2);
  if (!path.startsWith("/")) {
    throw invalid(
      `after "sqlite://" an absolute path must follow, with a third slash; a relative path goes right after "sqlite:"`,
    );
  }
  const decoded = decode(path);
  // `sqlite:///C:/data/file.db` names a drive on Windows.
  return canonical(
    /^\/[a-z]:[\\/]/i.test(decoded) && isAbsolute(decoded.slice(1)) ? decoded.slice(1) : resolve(decoded),
  );
}

/** One name for one file, also through symbolic links, so that it is opened once. */
function canonical(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const parent = dirname(path);
    return parent === path ? path : join(canonical(parent), basename(path));
  }
}

function decode(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw invalid("its percent-encoding is broken");
  }
}

function invalid(reason: string): HeddleError {
  return new HeddleError("CONFIG_INVALID", { message: `The SQLite URI is not valid: ${reason}. Use ${FORMS}.` });
}
