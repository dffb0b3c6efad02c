#!/usr/bin/env node
import module from "node:module";

/** `engines` of package.json. Nothing newer than Node 18 may be imported before this is checked. */
const OLDEST_NODE = [22, 12] as const;

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1])) {
  process.stderr.write(
    `heddle needs Node ${OLDEST_NODE.join(".")} or newer; this is Node ${process.versions.node} (${process.execPath}).\n`,
  );
  process.exit(1);
}
// Compiled code is kept between starts, in the folder for temporary files or in NODE_COMPILE_CACHE.
module.enableCompileCache();
// Errors of TypeScript graphs name their own lines. Maps of installed packages would only cost time. Node 22.14 and later.
module.setSourceMapsSupport?.(true, { nodeModules: false, generatedCode: true });
const { run } = await import("./program.js");
await run(process.argv);
