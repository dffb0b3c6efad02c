/** What one `import` statement binds. */
export interface ImportBindings {
  /** Names that the module must export; none for `import * as` and bare imports. */
  readonly names: readonly string[];
  /** Statements that bind the same from an expression that holds the module's namespace. */
  declare(namespace: string): string;
}

/**
 * Read `import a, { b as c } from` or `import * as d from`, as esbuild prints it: without comments.
 * @param statement from `import` up to the quote of the specifier
 */
export function importBindings(statement: string): ImportBindings {
  const clause = statement
    .replace(/^import\b/, "")
    .replace(/\bfrom\s*$/, "")
    .trim();
  const parts: string[] = [];
  const names: string[] = [];
  let namespaceName: string | undefined;
  const [, defaultName, , rest = ""] = /^([^\s,{*]+)?(\s*,\s*)?([\s\S]*)$/.exec(clause) ?? [];
  if (defaultName !== undefined) {
    names.push("default");
    parts.push(`default: ${defaultName}`);
  }
  if (rest.startsWith("*")) namespaceName = rest.replace(/^\*\s*as\s+/, "");
  else if (rest.startsWith("{")) {
    for (const specifier of rest
      .slice(1, -1)
      .split(",")
      .map((part) => part.trim())
      .filter(Boolean)) {
      const [imported = "", local = imported] = specifier.split(/\s+as\s+/);
      names.push(imported.startsWith('"') ? (JSON.parse(imported) as string) : imported);
      parts.push(`${imported}: ${local}`);
    }
  }
  return {
    names,
    declare: (namespace) =>
      (namespaceName === undefined ? "" : `const ${namespaceName} = ${namespace}; `) +
      (parts.length === 0 ? "" : `const { ${parts.join(", ")} } = ${namespace}; `),
  };
}
