import { createHash } from "node:crypto";
import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { spawnSync } from "node:child_process";
import path from "node:path";
import { providePostgres } from "../../support/postgres.js";
import { hasChromium } from "./chromium.js";

const root = path.resolve(import.meta.dirname, "../../..");

/**
 * Installs examples/chat from the packed package, as a user would, and builds its page: once for all files. The folder is
 * kept, so that the next time only what changed is installed. `CHAT_EXAMPLE` names a folder where that is done already.
 */
export default async function setup(): Promise<() => Promise<void>> {
  if (!hasChromium()) return async () => {};
  const folder = path.join(root, "node_modules/.cache/heddle-tests/chat");
  const stopPostgres = await providePostgres();
  try {
    if (process.env["CHAT_EXAMPLE"] === undefined) await installExample(folder);
  } catch (error) {
    await stopPostgres();
    throw error;
  }
  process.env["CHAT_EXAMPLE"] ??= folder;
  return stopPostgres;
}

async function installExample(folder: string): Promise<void> {
  await checkLock();
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(folder)) {
    if (name !== "node_modules") await rm(path.join(folder, name), { recursive: true });
  }
  await cp(path.join(root, "examples/chat"), folder, {
    recursive: true,
    filter: (source) => !/[\\/](?:node_modules|dist|\.heddle)$/.test(source),
  });
  run(process.execPath, ["scripts/build.mjs", "--if-stale"], root);
  const packed = run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], root);
  const { filename } = (JSON.parse(packed) as { filename: string }[])[0] ?? { filename: "" };
  // By its content, or npm would take a changed package for the one it has installed.
  const hash = createHash("sha256")
    .update(await readFile(path.join(folder, filename)))
    .digest("hex")
    .slice(0, 16);
  await rename(path.join(folder, filename), path.join(folder, `heddle-${hash}.tgz`));
  const manifest = path.join(folder, "package.json");
  await writeFile(manifest, (await readFile(manifest, "utf8")).replace("file:../..", `file:heddle-${hash}.tgz`));
  run("npm", ["install", "--no-audit", "--no-fund"], folder);
  run("npm", ["run", "build"], folder);
}

/** npm takes what heddle depends on from the lock, also when that has changed since: `npm ci` would install too little. */
async function checkLock(): Promise<void> {
  const read = async (name: string): Promise<unknown> => JSON.parse(await readFile(path.join(root, name), "utf8"));
  const lock = (await read("examples/chat/package-lock.json")) as {
    readonly packages: Record<string, { readonly dependencies: Record<string, string> }>;
  };
  const { dependencies } = (await read("package.json")) as { readonly dependencies: Record<string, string> };
  const locked = lock.packages["node_modules/heddle"]?.dependencies ?? {};
  const stale = Object.keys({ ...dependencies, ...locked }).filter((name) => dependencies[name] !== locked[name]);
  if (stale.length === 0) return;
  throw new Error(
    `examples/chat/package-lock.json knows other dependencies of heddle (${stale.join(", ")}): delete its entry ` +
      "node_modules/heddle and that folder, and run npm install there",
  );
}

function run(command: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: "utf8" });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed in ${cwd}:\n${stdout}${stderr}`);
  return stdout;
}
