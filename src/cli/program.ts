import { Command } from "commander";
import { heddleVersion } from "../config/version.js";
import type { CopyFlags } from "./commands/copy.js";
import { addKeysCommand } from "./key-options.js";
import { addWebhooksCommand } from "./webhook-options.js";
import type { EncryptFlags } from "./commands/encrypt.js";
import type { MigrateFlags } from "./commands/migrate.js";
import type { StorageFlags } from "./storage-settings.js";
import {
  type ParsedFlags,
  checkOptions,
  copyOptions,
  doctorOptions,
  encryptOptions,
  migrateOptions,
  serveOptions,
  toCliFlags,
} from "./flags.js";

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
  const migrate = program
    .command("migrate")
    .description("bring the tables of a storage up to date, as every server does when it opens it")
    .action(async (parsed: MigrateFlags) => {
      const command = await import("./commands/migrate.js");
      process.exitCode = await command.migrate(parsed);
    });
  const copy = program
    .command("copy")
    .description("copy everything of a storage into an empty one, of any kind, and compare checksums")
    .action(async (parsed: CopyFlags) => {
      const command = await import("./commands/copy.js");
      process.exitCode = await command.copy(parsed);
    });
  const encrypt = program
    .command("encrypt")
    .description("rewrite what is stored under the active encryption key, or count what is under which")
    .action(async (parsed: EncryptFlags) => {
      const command = await import("./commands/encrypt.js");
      process.exitCode = await command.encrypt(parsed);
    });
  const doctor = program
    .command("doctor")
    .description("connect to storage and Redis, and say what is wrong with them and what to do")
    .action(async (parsed: StorageFlags) => {
      const command = await import("./commands/doctor.js");
      process.exitCode = await command.doctor(parsed);
    });
  addKeysCommand(program);
  addWebhooksCommand(program);
  for (const option of serveOptions()) {
    serve.addOption(option);
    dev.addOption(option);
  }
  dev.option("--no-reload", "don't watch files");
  for (const option of checkOptions()) check.addOption(option);
  for (const option of migrateOptions()) migrate.addOption(option);
  for (const option of encryptOptions()) encrypt.addOption(option);
  for (const option of copyOptions()) copy.addOption(option);
  for (const option of doctorOptions()) doctor.addOption(option);

  await program.parseAsync([...argv]);
}
