import { HeddleError } from "../../core/errors.js";
import type { JsonObject, JsonValue } from "../../core/json.js";
import { isJsonObject } from "../../core/json.js";

/** What became of the leaves of a state, as paths: `a.b`, `list[0].x` (docs/wire/snapstate.md §1.1). */
export interface StateDiff {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly string[];
}

/**
 * Characters of all paths of a diff. A state of a megabyte can hold hundreds of thousands of leaves, and each path repeats the names
 * above it: without a bound a long name over many leaves makes gigabytes.
 */
export const MAX_DIFF_CHARS = 8 * 1024 * 1024;

/**
 * Compare two states leaf by leaf. A leaf is a scalar; an empty object or array has none. Where a scalar or the kind (object, array,
 * scalar) differs, the path itself is changed, and what is below either side is not listed.
 * @param before `null`: there was none, so every leaf is added
 * @throws HeddleError `PAYLOAD_TOO_LARGE` when the paths together are longer than {@link MAX_DIFF_CHARS}
 */
export function diffStates(before: JsonObject | null, after: JsonObject): StateDiff {
  const diff = new DiffWriter();
  if (before === null) diff.leaves("added", after, "");
  else diff.compare(before, after, "");
  const { added, removed, changed } = diff;
  return { added, removed, changed };
}

class DiffWriter implements StateDiff {
  readonly added: string[] = [];
  readonly removed: string[] = [];
  readonly changed: string[] = [];
  #chars = 0;

  compare(before: JsonValue, after: JsonValue, path: string): void {
    const [from, to] = [membersOf(before), membersOf(after)];
    if (from === null || to === null || Array.isArray(before) !== Array.isArray(after)) {
      if (from !== null || to !== null || before !== after) this.#tell("changed", path);
      return;
    }
    for (const [name, value] of to) {
      const below = pathOf(path, name);
      if (from.has(name)) this.compare(from.get(name) ?? null, value, below);
      else this.leaves("added", value, below);
    }
    for (const [name, value] of from) if (!to.has(name)) this.leaves("removed", value, pathOf(path, name));
  }

  leaves(list: "added" | "removed", value: JsonValue, path: string): void {
    const members = membersOf(value);
    if (members === null) this.#tell(list, path);
    else for (const [name, member] of members) this.leaves(list, member, pathOf(path, name));
  }

  #tell(list: keyof StateDiff, path: string): void {
    this.#chars += path.length;
    if (this.#chars > MAX_DIFF_CHARS) {
      throw new HeddleError("PAYLOAD_TOO_LARGE", {
        message: `state: the paths of its leaves take more than ${MAX_DIFF_CHARS} characters: use shorter names, or fewer leaves below long ones`,
      });
    }
    this[list].push(path);
  }
}

/** `null` for scalars. Names of an object are strings, places of an array numbers. */
function membersOf(value: JsonValue): ReadonlyMap<string | number, JsonValue> | null {
  if (Array.isArray(value)) return new Map(value.map((element: JsonValue, at) => [at, element]));
  if (!isJsonObject(value)) return null;
  return new Map(Object.keys(value).map((name) => [name, value[name] ?? null]));
}

function pathOf(path: string, name: string | number): string {
  if (typeof name === "number") return `${path}[${name}]`;
  return path === "" ? name : `${path}.${name}`;
}
