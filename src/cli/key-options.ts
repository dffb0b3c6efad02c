import { type Command, InvalidArgumentError, Option } from "commander";
import type { CreateKeyFlags } from "./commands/keys.js";
import type { StorageFlags } from "./storage-settings.js";
import { storageOptions } from "./flags.js";

const UNITS_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

type Parsed = StorageFlags & { readonly json?: boolean };

/** `heddle keys create|list|revoke`. Commands are imported when they are called. */
export function addKeysCommand(program: Command): void {
  const keys = program.command("keys").description("API keys of apiKey(): of each the storage has a digest only");
  const create = keys
    .command("create")
    .description("make a key and print its secret, once")
    .addOption(new Option("--identity <name>", "who asks with the key").makeOptionMandatory())
    .addOption(
      new Option("--permission <permissions...>", 'e.g. threads:read "threads:*" "*", or names of roles (default: *)'),
    )
    .addOption(new Option("--tenant <name>", "whose rows it sees, where the server keeps tenants apart"))
    .addOption(new Option("--label <text>", "what it is for"))
    .addOption(new Option("--expires-in <time>", "30m, 12h, 90d (default: never)").argParser(milliseconds))
    .action(async (parsed: CreateKeyFlags) => {
      const command = await import("./commands/keys.js");
      process.exitCode = await command.createKey(parsed);
    });
  const list = keys
    .command("list")
    .description("all keys, also those that are revoked or expired")
    .action(async (parsed: Parsed) => {
      const command = await import("./commands/keys.js");
      process.exitCode = await command.listKeys(parsed);
    });
  const revoke = keys
    .command("revoke")
    .description("end a key for good")
    .argument("<key-id>", "of heddle keys list; not the secret")
    .action(async (keyId: string, parsed: Parsed) => {
      const command = await import("./commands/keys.js");
      process.exitCode = await command.revokeKey(keyId, parsed);
    });
  for (const command of [create, list, revoke]) {
    for (const option of storageOptions()) command.addOption(option);
    command.option("--json", "print JSON");
  }
}

function milliseconds(text: string): number {
  const [, count = "", unit = ""] = /^(\d{1,5})([mhd])$/.exec(text) ?? [];
  const ms = Number(count) * (UNITS_MS[unit] ?? 0);
  if (ms > 0) return ms;
  throw new InvalidArgumentError("It must be minutes, hours or days: 30m, 12h, 90d.");
}
