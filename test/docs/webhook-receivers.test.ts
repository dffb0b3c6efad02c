import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createApp } from "../../src/app.js";
import { echo } from "../fixtures/graphs/index.js";

const GUIDE = readFileSync(new URL("../../docs/guides/webhooks.md", import.meta.url), "utf8");
const MODULES = fileURLToPath(new URL("../../node_modules", import.meta.url));
const SECRET = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
const SILENT = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "heddle-receiver-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** The block of the guide behind its mark. */
function exampleOf(language: "js" | "python"): string {
  const block = new RegExp(`<!-- receiver: ${language} -->\\s*\`\`\`\\w+\\n([\\s\\S]*?)\`\`\``).exec(GUIDE)?.[1];
  if (block === undefined) throw new Error(`the guide has no receiver in ${language}`);
  return block;
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as { readonly port: number };
  probe.close();
  await once(probe, "close");
  return port;
}

/** Its output until a line says so. */
function said(child: ChildProcess, wanted: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      if (wanted.test(text)) resolve(text);
    });
    child.stderr?.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    child.once("exit", () => reject(new Error(`the receiver has ended:\n${text}`)));
  });
}

it.each([
  ["js", "receiver.mjs", process.execPath],
  ["python", "receiver.py", "python3"],
] as const)(
  "the receiver in %s takes what is signed, and nothing else",
  async (language, name, program) => {
    const file = join(dir, name);
    symlinkSync(MODULES, join(dir, "node_modules"));
    writeFileSync(file, exampleOf(language));
    const port = await freePort();
    const env = { PATH: process.env["PATH"], PORT: String(port), WEBHOOK_SECRET: SECRET };
    const child = spawn(program, [file], { env, stdio: ["ignore", "pipe", "pipe"] });
    const webhooks = { secrets: SECRET, url: { requireHttps: false, disableLoopback: false } };
    const server = await createApp({ graphs: { echo }, storage: "memory:", webhooks, env: {}, logger: SILENT });
    try {
      await said(child, /listening/);
      const ended = said(child, /run \S+ ended: success/);
      const url = `http://127.0.0.1:${port}/`;
      const forged = await fetch(url, { method: "POST", body: "{}", headers: { "webhook-id": "msg_x" } });
      expect(forged.status).toBe(401);
      const body = JSON.stringify({ assistant_id: "echo", input: { messages: [] }, webhook: url });
      await server.app.request("/runs/wait", { method: "POST", body });
      expect(await ended).not.toContain("run undefined");
      const listed = await server.app.request("/webhooks/deliveries");
      expect(await listed.json()).toHaveLength(1);
    } finally {
      await server.close();
      child.kill();
    }
  },
  30_000,
);
