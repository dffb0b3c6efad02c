import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type HeddleServer, createApp } from "../../src/app.js";
import { type Listener, listen } from "../../src/node/listen.js";
import { ROOT } from "./compat-table.js";

const readme = readFileSync(new URL("README.md", ROOT), "utf8");
const cwd = fileURLToPath(ROOT);
const block = (start: RegExp) => start.exec(readme)?.[1] ?? "";

let server: HeddleServer;
let listener: Listener;
beforeAll(async () => {
  server = await createApp({ config: "langgraph.json", cwd, storage: "memory:", env: {}, logLevel: "error" });
  listener = await listen(server, { port: 0 });
});
afterAll(async () => {
  await listener.close();
  await server.close();
});

const here = (text: string) => text.replaceAll("http://127.0.0.1:2024", listener.url);

describe("README.md", () => {
  it("has a first request with curl that streams tokens and tool calls", async () => {
    const command = here(block(/```sh\n(curl -N [\s\S]*?)```/));
    const { stdout } = await promisify(execFile)("bash", ["-c", `${command.trim()} -sS`], { cwd });
    expect(stdout).toMatch(/^event: metadata\n/);
    expect(stdout).toContain(`"name":"get_weather"`);
    expect(stdout).toMatch(/event: end\ndata: .*"status":"success"/);
  });

  it("has a first request with the SDK that is interrupted and resumed", async () => {
    const program = here(block(/```js\n(import \{ Client \}[\s\S]*?)```/));
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", program], { cwd });
    expect(stdout).toContain("May I send this?");
    expect(stdout).toMatch(/\[\s*'Dear customer, about "Please refund order 7"/);
  });
});
