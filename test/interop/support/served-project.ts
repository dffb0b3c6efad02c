import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ServedProcess, startProcess } from "../../support/served-process.js";

const CONFIG = join(import.meta.dirname, "../project/langgraph.json");

/** The interop project served from the built package on SQLite, in a process of its own: pages have other globals. */
export async function serveProject(): Promise<Pick<ServedProcess, "url" | "client"> & { close(): Promise<void> }> {
  const dir = mkdtempSync(join(tmpdir(), "heddle-interop-"));
  const storage = `sqlite:${join(dir, "heddle.db")}`;
  const server = await startProcess({ graphs: "project", options: { config: CONFIG, storage } });
  return {
    url: server.url,
    client: server.client,
    async close() {
      await server.kill("SIGTERM");
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
