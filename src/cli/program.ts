import { Command } from "commander";
import { heddleVersion } from "../config/version.js";
import { type ParsedFlags, checkOptions, serveOptions, toCliFlags } from "./flags.js";

/** Run the command line; sets the exit code. Commands are imported when they are called, so that `--help` is quick. */
export async function run(argv: readonly string[]): Promise<void> {
  const program = new Command("heddle")
    .description("Serve LangGraph graphs over HTTP.")
    .version(heddleVersion(), "-v, --version")
    .showHelpAfterError("(see --help)");

  const serve = program
    .command("serve")
    .description("serve the graphs of langgraph.json")
    .action(async (parsed: ParsedFlags) => {
      const command = await import("./commands/serve.js");
      process.exitCode = await command.serve(toCliFlags(parsed));
    });
  const dev = program
    .command("dev")
    .description("serve, and reload whatever changes: graphs, what they import, langgraph.json, its env file")
    .action(async (parsed: ParsedFlags & { readonly reload: boolean }) => {
      const command = await import("./commands/dev.js");
      process.exitCode = await command.dev(toCliFlags(parsed), { reload: parsed.reload });
    });
  const check = program
    .command("check")
    .description("load everything, print the configuration without secrets, and say what is wrong; serves nothing")
    .action(async (parsed: ParsedFlags) => {
      const command = await import("./commands/check.js");
      process.exitCode = await command.check(toCliFlags(parsed));
    });
  for (const option of serveOptions()) {
    serve.addOption(option);
    dev.addOption(option);
  }
  dev.option("--no-reload", "don't watch files");
  for (const option of checkOptions()) check.addOption(option);

  await program.parseAsync([...argv]);
}
