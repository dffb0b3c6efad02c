/**
 * Check the directions of `.dependency-cruiser.mjs`, then check the check:
 *
 * 1. cruise `src/`; every TypeScript file must have been seen (TypeScript 7 has no compiler API: dependency-cruiser 18
 *    then sees no module at all and passes);
 * 2. cruise a copy of `src/` with one seeded violation per rule; every rule must fire on its own seed.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { cruise } from "dependency-cruiser";
import extractTSConfig from "dependency-cruiser/config-utl/extract-ts-config";
import config, { boundPackages, mayImport, rootFiles } from "../.dependency-cruiser.mjs";

const root = join(import.meta.dirname, "..");
const problems = [];

/** @returns {Promise<import("dependency-cruiser").ICruiseResult>} */
async function cruiseSources(baseDir) {
  const { options, forbidden } = config;
  const { output } = await cruise(["src"], { ...options, baseDir, ruleSet: { forbidden }, validate: true }, undefined, {
    tsConfig: extractTSConfig(join(root, "tsconfig.json")),
  });
  return output;
}

const sourceFiles = (dir) =>
  readdirSync(join(dir, "src"), { recursive: true }).filter((file) => /(?<!\.d)\.tsx?$/.test(file)).length;
const seenFiles = ({ modules }) => modules.filter(({ source }) => /^src\/.*\.tsx?$/.test(source)).length;

/** Where a file of a folder (or root file) would be, and how it is imported from another file of `src/`. */
const fileIn = (name, file) => (rootFiles.has(name) ? `src/${name}.ts` : `src/${name}/${file}.ts`);
const importOf = (from, name, file) =>
  `${"../".repeat(from.split("/").length - 2) || "./"}${rootFiles.has(name) ? name : `${name}/${file}`}.js`;

/** One violation per rule: `rule → {file: text}`; existing root files get the text appended. */
function seeds() {
  const made = {};
  for (const [name, others] of Object.entries(mayImport)) {
    const target = Object.keys(mayImport).find((other) => other !== name && !others.includes(other));
    if (target === undefined) problems.push(`src/${name} may import everything: its rule says nothing`);
    const file = fileIn(name, "seed-direction");
    made[`direction-${name}`] = { [file]: `import "${importOf(file, target, "seed-target")}";\n` };
  }
  for (const [name, { packages, typesIn = [] }] of Object.entries(boundPackages)) {
    const statement = `import "${packages[0].replace("[^/]+", "core/messages")}";\n`;
    made[`package-${name}`] = { [`src/services/seed-${name}.ts`]: statement };
    for (const layer of typesIn) made[`package-${name}-types`] = { [`src/${layer}/seed-${name}-types.ts`]: statement };
  }
  for (const kind of ["stores", "databases", "protocols"]) {
    made[`drivers-apart-${kind}`] = {
      [`src/${kind}/seed-one/index.ts`]: `import "../seed-two/index.js";\n`,
      [`src/${kind}/seed-two/index.ts`]: "export {};\n",
    };
  }
  return {
    ...made,
    "core-alone": { "src/core/seed-alone.ts": `import "node:fs";\n` },
    "database-client-lazy": { "src/databases/seed-eager.ts": `import "better-sqlite3";\n` },
    "no-cycle": {
      "src/services/seed-cycle-a.ts": `import "./seed-cycle-b.js";\n`,
      "src/services/seed-cycle-b.ts": `import "./seed-cycle-a.js";\n`,
    },
    "src-alone": { "src/services/seed-test.ts": `import "../../test/seed.js";\n`, "test/seed.ts": "export {};\n" },
    resolvable: { "src/services/seed-missing.ts": `import "./there-is-no-such-file.js";\n` },
    "known-folder": { "src/seed-folder/seed.ts": `import "../core/seed-target.js";\n` },
  };
}

function reportViolations({ summary }) {
  for (const { rule, from, to } of summary.violations) problems.push(`${rule.name}: ${from} → ${to}`);
}

async function checkSources() {
  const result = await cruiseSources(root);
  const [seen, files] = [seenFiles(result), sourceFiles(root)];
  if (seen !== files || seen === 0) problems.push(`saw ${seen} modules of ${files} source files`);
  reportViolations(result);
  return seen;
}

async function checkRules() {
  const copy = mkdtempSync(join(tmpdir(), "heddle-arrows-"));
  try {
    cpSync(join(root, "src"), join(copy, "src"), { recursive: true });
    cpSync(join(root, "tsconfig.json"), join(copy, "tsconfig.json"));
    symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
    const planted = seeds();
    const texts = new Map(Object.keys(mayImport).map((name) => [fileIn(name, "seed-target"), "export {};\n"]));
    for (const files of Object.values(planted)) {
      for (const [file, text] of Object.entries(files)) texts.set(file, text);
    }
    for (const [file, text] of texts) {
      mkdirSync(dirname(join(copy, file)), { recursive: true });
      writeFileSync(join(copy, file), text);
    }
    const { summary } = await cruiseSources(copy);
    for (const { name } of config.forbidden) {
      const files = Object.keys(planted[name] ?? {});
      const fired = summary.violations.some(({ rule, from }) => rule.name === name && files.includes(from));
      if (!fired) problems.push(`rule ${name} did not fire on its seed (${files.join(", ") || "there is none"})`);
    }
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

const seen = await checkSources();
await checkRules();
for (const problem of problems) console.error(`arrows: ${problem}`);
if (problems.length > 0) process.exit(1);
console.log(`arrows: ${seen} modules, ${config.forbidden.length} rules, each seen to fail on its seed`);
