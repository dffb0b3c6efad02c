/** A part of a template's segment: `{run_id}:fork` is a parameter and a literal. */
type Part = { readonly literal: string } | { readonly param: string };

/** A path with parameters, as `/v1/runs/{run_id}:fork`. */
export interface PathTemplate {
  readonly path: string;
  readonly segments: readonly (readonly Part[])[];
}

export function parseTemplate(path: string): PathTemplate {
  const segments = path === "" || path === "/" ? [] : path.slice(1).split("/");
  return { path, segments: segments.map(parseSegment) };
}

function parseSegment(segment: string): readonly Part[] {
  const parts = segment.split(/(\{\w+\})/).filter((part) => part !== "");
  return parts.map((part) => (part.startsWith("{") ? { param: part.slice(1, -1) } : { literal: part }));
}

/** What matches one template. */
export type TemplateMatcher = (segments: readonly string[]) => Readonly<Record<string, string>> | null;

/** @returns a function of decoded segments; it gives the parameters, none of them empty, or `null` */
export function templateMatcher({ segments: template }: PathTemplate): TemplateMatcher {
  const expressions = template.map((parts) => new RegExp(`^${parts.map(expressionOf).join("")}$`, "s"));
  const names = template.map((parts) => parts.flatMap((part) => ("param" in part ? [part.param] : [])));
  return (segments) => {
    if (segments.length !== expressions.length) return null;
    const params: [string, string][] = [];
    for (const [i, segment] of segments.entries()) {
      const found = expressions[i]?.exec(segment);
      if (found === null || found === undefined) return null;
      for (const [at, name] of (names[i] ?? []).entries()) params.push([name, found[at + 1] ?? ""]);
    }
    return Object.fromEntries(params);
  };
}

function expressionOf(part: Part): string {
  return "literal" in part ? part.literal.replaceAll(/[.*+?^${}()|[\]\\/]/g, String.raw`\$&`) : "(.+)";
}

/** For sorting: the more specific template first, segment by segment from the left; a literal before a parameter with a suffix before one without. */
export function bySpecificity(a: PathTemplate, b: PathTemplate): number {
  const length = Math.min(a.segments.length, b.segments.length);
  for (let i = 0; i < length; i += 1) {
    const difference = generality(a.segments[i] ?? []) - generality(b.segments[i] ?? []);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** 0 for a literal, at most 1; the fewer characters are fixed, the more. */
function generality(parts: readonly Part[]): number {
  const params = parts.filter((part) => "param" in part).length;
  if (params === 0) return 0;
  const fixed = parts.reduce((chars, part) => chars + ("literal" in part ? part.literal.length : 0), 0);
  return 1 / (1 + fixed / 1000);
}

/**
 * What a template stands below when it is served beside other routes: its segments up to the first that has a parameter, without `:`
 * suffixes. `/v1/runs/{run_id}:fork` and `/v1/runs:bulk-cancel` stand below `/v1/runs`.
 */
export function literalPrefix({ segments }: PathTemplate): readonly string[] {
  const prefix: string[] = [];
  for (const parts of segments) {
    const [first, ...more] = parts;
    if (first === undefined || more.length > 0 || !("literal" in first)) break;
    prefix.push(first.literal.replace(/:.*$/s, ""));
  }
  return prefix;
}

/** Whether a path, decoded, lies at a prefix, below it, or is it with a `:` suffix. */
export function isBelow(segments: readonly string[], prefix: readonly string[]): boolean {
  if (prefix.length === 0 || segments.length < prefix.length) return false;
  return prefix.every((name, i) => {
    const segment = segments[i];
    return segment === name || (i === prefix.length - 1 && segment?.startsWith(`${name}:`) === true);
  });
}

/** Whether some path lies below a prefix and is one that a template stands for. */
export function meets(prefix: readonly string[], { segments }: PathTemplate): boolean {
  if (segments.length < prefix.length) return false;
  return prefix.every((name, i) => {
    const parts = segments[i] ?? [];
    const [first] = parts;
    if (parts.length === 1 && first !== undefined && "literal" in first)
      return first.literal.replace(/:.*$/s, "") === name;
    return true;
  });
}
