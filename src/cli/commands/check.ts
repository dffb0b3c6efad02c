import pc from "picocolors";
import { describeConfig } from "../../config/describe.js";
import { populateEnv } from "../../config/env.js";
import type { CliFlags } from "../../config/options.js";
import { resolveConfig } from "../../config/resolve.js";
import type { ResolvedConfig } from "../../config/resolved-config.js";
import type { HeddleError } from "../../core/errors.js";
import { createLogger } from "../../node/index.js";
import { shareLanggraph } from "../../node/share-langgraph.js";
import { printError } from "../report.js";

/**
 * `heddle check`: load everything as `serve` would, print what was decided without secrets, and say what is wrong with
 * file and line. The storage is opened, too; nothing is served or executed.
 * @returns the exit code: 0 when `serve` would start
 */
export async function check(flags: CliFlags): Promise<number> {
  let config: ResolvedConfig | undefined;
  try {
    shareLanggraph(flags.config);
    config = await resolveConfig({ flags });
    populateEnv(config.graphEnv);
    print(settingLines(config));
    const logger = await createLogger({ level: "silent", format: "line" });
    const { openApp } = await import("../../app.js");
    const app = await openApp(config, { logger, watch: false, allowGraphFailures: true });
    const failures = new Map(app.graphFailures.map(({ graphId, error }) => [graphId, error]));
    await app.close();
    print(graphLines(config, failures));
    if (Object.keys(config.ui.files).length > 0) print(uiLines(config, app.uiFailures));
    const errors = [...failures.values(), ...app.uiFailures];
    for (const error of errors) printError(error, config);
    return errors.length === 0 ? 0 : 1;
  } catch (error) {
    printError(error, config);
    return 1;
  }
}

function print(lines: readonly string[]): void {
  process.stdout.write(`${lines.join("\n")}\n`);
}

function settingLines(config: ResolvedConfig): readonly string[] {
  const settings = describeConfig(config);
  const width = Math.max(...settings.map(({ name }) => name.length));
  return [
    `${pc.bold("manifest")}  ${config.manifestPath ?? "none"}`,
    pc.bold("settings"),
    ...settings.map(({ name, value, origin }) => `  ${name.padEnd(width)}  ${value}  ${pc.dim(`(${origin})`)}`),
    ...config.warnings.map((warning) => `${pc.yellow("warning:")} ${warning}`),
  ];
}

function graphLines(config: ResolvedConfig, failures: ReadonlyMap<string, HeddleError>): readonly string[] {
  const width = Math.max(...Object.keys(config.graphs).map((graphId) => graphId.length));
  const lines = Object.entries(config.graphs).map(([graphId, graph]) => {
    const mark = failures.has(graphId) ? pc.red("failed") : pc.green("ok    ");
    return `  ${mark}  ${graphId.padEnd(width)}  ${graph.kind === "file" ? graph.path : ""}`;
  });
  return [pc.bold("graphs"), ...lines];
}

function uiLines(config: ResolvedConfig, failures: readonly HeddleError[]): readonly string[] {
  const { files } = config.ui;
  const failed = new Set(failures.map(({ details }) => details?.["id"]));
  const width = Math.max(...Object.keys(files).map((id) => id.length));
  const lines = Object.entries(files).map(
    ([id, file]) => `  ${failed.has(id) ? pc.red("failed") : pc.green("ok    ")}  ${id.padEnd(width)}  ${file}`,
  );
  return [pc.bold("ui"), ...lines];
}
