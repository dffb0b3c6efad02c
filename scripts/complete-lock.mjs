/**
 * Put optional packages of other platforms back into package-lock.json: `node scripts/complete-lock.mjs [folder]`, after
 * `npm install` there; the repository's root by default.
 *
 * npm 11.19.1 leaves an optional dependency out of the lock when its registry does not have it (a mirror that keeps one
 * platform only), and `npm ci` then refuses that lock as out of sync, everywhere. The entries need no address: what does not
 * fit a platform is never fetched, and elsewhere npm finds it by name and version.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const path = join(import.meta.dirname, "..", process.argv[2] ?? ".", "package-lock.json");
const lock = JSON.parse(readFileSync(path, "utf8"));

const OS = ["android", "darwin", "freebsd", "linux", "openharmony", "win32"];
const CPU = ["arm64", "arm", "ia32", "ppc64", "riscv64", "s390x", "x64"];
const LIBC = { gnu: "glibc", gnueabihf: "glibc", musl: "musl", musleabihf: "musl" };

/** `@oxlint/binding-linux-arm-musleabihf` → which platform it is for; `null` when its name does not say. */
function platformOf(name) {
  const words = name.split("/").at(-1).split("-");
  const os = OS.find((known) => words.includes(known));
  const cpu = CPU.find((known) => words.includes(known));
  if (os === undefined || cpu === undefined) return null;
  const libc = os === "linux" ? LIBC[words.at(-1)] : undefined;
  return { cpu: [cpu], ...(libc === undefined ? {} : { libc: [libc] }), optional: true, os: [os] };
}

let added = 0;
for (const [parent, { optionalDependencies = {}, dev }] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(optionalDependencies)) {
    const places = [`node_modules/${name}`, `${parent}/node_modules/${name}`];
    if (places.some((place) => place in lock.packages)) continue;
    const platform = platformOf(name);
    if (platform === null || !/^\d/.test(version)) {
      console.error(
        `lock: ${name}@${version} of ${parent} is missing, and its name does not say for which platform it is`,
      );
      process.exitCode = 1;
      continue;
    }
    lock.packages[places[0]] = { version, ...platform, ...(dev ? { dev } : {}) };
    added += 1;
  }
}
if (added > 0) {
  const sorted = Object.entries(lock.packages).toSorted(([a], [b]) => a.localeCompare(b, "en"));
  writeFileSync(path, `${JSON.stringify({ ...lock, packages: Object.fromEntries(sorted) }, null, 2)}\n`);
}
console.log(`lock: ${added} optional packages added`);
