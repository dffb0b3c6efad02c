import { HeddleError } from "../../core/errors.js";
import { isBelow, literalPrefix, meets, parseTemplate } from "./path-template.js";
import type { Mount } from "./serve-mount.js";

/** What a mount answers: everything below these segments. */
type Prefix = readonly string[];

/**
 * Refuse mounts that would answer one another's requests, or those of the LangGraph API (docs/wire/protocol-mounts.md, rule 2).
 * @param own paths of the LangGraph API's routes, below the same base path
 * @throws HeddleError `CONFIG_INVALID`, which names both and the way out
 */
export function refuseOverlaps(mounts: readonly Mount[], own: readonly string[]): void {
  const templates = own.map(parseTemplate);
  for (const [i, mount] of mounts.entries()) {
    const prefixes = prefixesOf(mount);
    for (const other of mounts.slice(0, i)) {
      const both = prefixesOf(other).flatMap((theirs) => prefixes.flatMap((ours) => commonOf(ours, theirs)));
      const [first] = both;
      if (first !== undefined) throw overlap(mount, described(other), textOf(first));
    }
    for (const prefix of prefixes) {
      const met = templates.find((template) => meets(prefix, template));
      if (met !== undefined) throw overlap(mount, "the LangGraph API", met.path);
    }
  }
}

function prefixesOf({ path, face }: Mount): readonly Prefix[] {
  if (path !== "") return [path.slice(1).split("/")];
  return face.routes.map((route) => literalPrefix(parseTemplate(route.path)));
}

/** The deeper one, when it lies below the other. */
function commonOf(a: Prefix, b: Prefix): readonly Prefix[] {
  const [shallow, deep] = a.length <= b.length ? [a, b] : [b, a];
  return shallow.length === 0 || isBelow(deep, shallow) ? [deep] : [];
}

const textOf = (prefix: Prefix): string => `/${prefix.join("/")}`;
const described = ({ name, path }: Mount): string => `${name} at "${path === "" ? "/" : path}"`;

function overlap(mount: Mount, other: string, path: string): HeddleError {
  return new HeddleError("CONFIG_INVALID", {
    message:
      `protocols: ${described(mount)} and ${other} would both answer ${path}. ` +
      `Give ${mount.name} a path of its own ({ path: "/${mount.name}" }) or a port of its own ({ port: 3001 })`,
  });
}
