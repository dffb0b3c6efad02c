/**
 * The directions of docs/design.md §2 as rules. `scripts/check-arrows.mjs` runs them, asserts that every source file was
 * seen, and proves with a seeded violation of each rule that each can fail.
 *
 *     cli → node → app → {http, protocols} → services → core ← {stores, checkpointers, engine, streaming, auth}
 *     runtime beside services · wire under http · config beside core, read by app, node and cli
 */

/** What opens storages: servers, and the commands that look after them. */
const STORAGE_PARTS = [
  "core",
  "config",
  "encryption",
  "engine/loading/load-export",
  "databases",
  "stores",
  "checkpointers",
  "streaming",
];

/** What each folder (or root file) of `src/` may import of ours, besides itself: folders, or single files of one. */
export const mayImport = {
  core: [],
  wire: ["core"],
  config: ["core"],
  logging: ["core"],
  services: ["core"],
  runtime: ["core", "services"],
  databases: ["core"],
  stores: ["core", "databases"],
  checkpointers: ["core", "databases"],
  streaming: ["core", "databases"],
  engine: ["core"],
  // Components are built and watched as graphs are.
  ui: ["core", "engine/loading/load-error", "engine/loading/source-watcher", "engine/loading/tsconfig-files"],
  auth: ["core"],
  limits: ["core", "databases"],
  audit: ["core"],
  testing: ["core"],
  // A client: it runs in browsers, without the server.
  "state-store": [],
  encryption: ["core"],
  embeddings: ["core"],
  webhooks: ["core"],
  http: ["core", "wire", "services"],
  protocols: ["core", "wire", "services", "http"],
  // The composition root: the files of `src/` itself.
  "open-auth": ["core", "config", "engine", "auth"],
  "open-custom-app": ["core", "config", "engine", "http"],
  "open-guard": ["core", "config", "http", "limits", "audit"],
  "open-graphs": ["core", "config", "engine"],
  "open-item-index": ["core", "config", "embeddings", "engine/loading/load-export", "engine/loading/watched-version"],
  "open-storage": STORAGE_PARTS,
  "open-webhooks": ["core", "config", "wire", "webhooks"],
  "open-engine": ["core", "config", "engine", "open-parts", "runtime/system-clock", "services/run-config"],
  "open-parts": [
    "core",
    "config",
    "embeddings",
    "http",
    "open-auth",
    "open-custom-app",
    "open-graphs",
    "open-guard",
    "open-item-index",
    "open-storage",
    "runtime/system-clock",
    "ui",
  ],
  "open-protocols": ["core", "config", "http", "protocols"],
  // What parts take of the configuration.
  "app-settings": ["core", "config", "engine", "http", "runtime", "services", "wire"],
  app: [
    "app-settings",
    "open-engine",
    "open-parts",
    "open-protocols",
    "open-webhooks",
    "webhooks",
    "open-auth",
    "open-storage",
    "embeddings",
    "logging",
    "wire",
    "core",
    "config",
    "services",
    "runtime",
    "http",
    "protocols",
    "databases",
    "stores",
    "checkpointers",
    "engine",
    "streaming",
    "auth",
  ],
  index: ["core", "config", "app", "auth", "open-storage", "protocols", "services"],
  node: ["core", "config", "logging", "app", "index"],
  // Migrations, copies and diagnoses of storages, for the CLI.
  maintenance: STORAGE_PARTS,
  cli: ["core", "config", "logging", "app", "auth", "index", "node", "maintenance"],
};

/** Packages bound to layers: only `layers` may import them; `typesIn` may import their types as well. */
export const boundPackages = {
  hono: { packages: ["hono", "@hono/[^/]+"], layers: ["http", "protocols", "node", "app"] },
  langchain: {
    packages: ["@langchain/[^/]+", "langchain"],
    layers: ["engine", "checkpointers", "auth", "testing"],
    typesIn: ["protocols"],
  },
  "database-client": {
    packages: ["better-sqlite3", "pg", "pg-[^/]+", "mongodb", "ioredis", "bullmq"],
    layers: ["databases"],
    typesIn: ["stores", "checkpointers", "streaming"],
  },
  terminal: { packages: ["commander", "picocolors"], layers: ["cli"] },
};

export const rootFiles = new Set([
  "app",
  "app-settings",
  "index",
  "open-auth",
  "open-custom-app",
  "open-engine",
  "open-graphs",
  "open-guard",
  "open-item-index",
  "open-parts",
  "open-protocols",
  "open-storage",
  "open-webhooks",
]);
const folder = (name) => (rootFiles.has(name) || name.includes("/") ? `^src/${name}[.]ts$` : `^src/${name}/`);
const anyOf = (patterns) => patterns.join("|");
/** A package, installed (its resolved path) or not (its bare name), with or without separate types. */
const packagePath = (names) => `(^|node_modules/)(@types/)?(${names.join("|")})(/|$)`;
const forbidden = (name, comment, from, to) => ({ name, comment, severity: "error", from, to });

const directions = Object.entries(mayImport).map(([name, others]) =>
  forbidden(
    `direction-${name}`,
    `src/${name} may import of ours only ${[name, ...others].join(", ")}`,
    { path: folder(name) },
    { path: "^src/", pathNot: anyOf([name, ...others].map(folder)) },
  ),
);

const packages = Object.entries(boundPackages).flatMap(([name, { packages: names, layers, typesIn = [] }]) => [
  forbidden(
    `package-${name}`,
    `only ${layers.join(", ")} may import ${names.join(", ")}`,
    { path: "^src/", pathNot: anyOf([...layers, ...typesIn].map(folder)) },
    { path: packagePath(names) },
  ),
  ...(typesIn.length === 0
    ? []
    : [
        forbidden(
          `package-${name}-types`,
          `${typesIn.join(", ")} may import the types of ${names.join(", ")}, never values`,
          { path: anyOf(typesIn.map(folder)) },
          { path: packagePath(names), dependencyTypesNot: ["type-only"] },
        ),
      ]),
]);

/** A folder (or file) per driver; what lies directly in the kind's folder (registry, shared rules) is no driver. */
const driversApart = ["stores", "databases", "protocols"].map((name) =>
  forbidden(
    `drivers-apart-${name}`,
    `no driver of src/${name} imports another (sql/ is what the SQL stores share)`,
    { path: `^src/${name}/([^/]+)/` },
    { path: `^src/${name}/[^/]+/`, pathNot: `^src/${name}/($1|sql)/` },
  ),
);

export default {
  forbidden: [
    ...directions,
    ...packages,
    ...driversApart,
    forbidden(
      "core-alone",
      "core imports no package and, for digests, only crypto of Node at run time",
      { path: "^src/core/" },
      { pathNot: "^(?:src/core/|crypto$)", dependencyTypesNot: ["type-only"] },
    ),
    forbidden(
      "database-client-lazy",
      "database clients are imported by await import() or as types, so that importing heddle loads none",
      { path: "^src/" },
      {
        path: packagePath(boundPackages["database-client"].packages),
        dynamic: false,
        dependencyTypesNot: ["type-only"],
      },
    ),
    forbidden(
      "no-cycle",
      "no module imports itself at run time, however far around",
      { path: "^src/" },
      { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    ),
    forbidden(
      "src-alone",
      "src imports nothing beside it",
      { path: "^src/" },
      { path: "^(test|graphs|examples|scripts)/" },
    ),
    forbidden("resolvable", "every import resolves", { path: "^src/" }, { couldNotResolve: true }),
    forbidden(
      "known-folder",
      "every file of src lies in a folder that the rules know",
      { path: "^src/", pathNot: anyOf(Object.keys(mayImport).map(folder)) },
      {},
    ),
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "types", "node", "default"],
      extensions: [".ts", ".js", ".mjs", ".json", ".d.ts"],
    },
  },
};
