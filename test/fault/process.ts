import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { Client } from "@langchain/langgraph-sdk";
import { listening } from "../support/served-process.js";

const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const CONFIG = fileURLToPath(new URL("../fixtures/project/langgraph.json", import.meta.url));

/** `heddle serve` in a process of its own, to be killed. */
export interface ServedProcess {
  readonly url: string;
  readonly client: Client;
  /** Send a signal to this very process and wait for its end. @returns its exit code, `null` after SIGKILL */
  kill(signal: NodeJS.Signals): Promise<number | null>;
}

/** @param variables beside PATH */
export async function serve(
  storageFile: string,
  variables: Readonly<Record<string, string>> = {},
): Promise<ServedProcess> {
  const args = [MAIN, "serve", "--config", CONFIG, "--port", "0", "--storage", `sqlite:${storageFile}`];
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env["PATH"], LOG_JSON: "true", ...variables },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const url = await listening(child);
  return {
    url,
    client: new Client({ apiUrl: url, callerOptions: { maxRetries: 0 } }),
    async kill(signal) {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill(signal);
        await once(child, "exit");
      }
      return child.exitCode;
    },
  };
}
