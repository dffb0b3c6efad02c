import { type Command, InvalidArgumentError, Option } from "commander";
import { DELIVERY_STATUSES } from "../core/webhook.js";
import type { ListWebhooksFlags } from "./commands/webhooks.js";
import { storageOptions } from "./flags.js";
import type { StorageFlags } from "./storage-settings.js";

type Parsed = StorageFlags & { readonly json?: boolean };

/** `heddle webhooks list|show|redeliver`. Commands are imported when they are called. */
export function addWebhooksCommand(program: Command): void {
  const webhooks = program.command("webhooks").description("webhooks of a storage: what was sent, what is to be sent");
  const list = webhooks
    .command("list")
    .description("deliveries, newest first")
    .addOption(new Option("--status <status>", "only these").choices(DELIVERY_STATUSES))
    .addOption(new Option("--run <id>", "of one run"))
    .addOption(new Option("--thread <id>", "of one thread"))
    .addOption(new Option("--limit <count>", "at most (default: 20)").argParser(count))
    .action(async (parsed: ListWebhooksFlags) => {
      const command = await import("./commands/webhooks.js");
      process.exitCode = await command.listWebhooks(parsed);
    });
  const show = webhooks
    .command("show")
    .description("one delivery with its attempts")
    .argument("<delivery-id>", "of heddle webhooks list")
    .action(async (deliveryId: string, parsed: Parsed) => {
      const command = await import("./commands/webhooks.js");
      process.exitCode = await command.showWebhook(deliveryId, parsed);
    });
  const redeliver = webhooks
    .command("redeliver")
    .description("send one again, with the same id")
    .argument("<delivery-id>", "of heddle webhooks list")
    .action(async (deliveryId: string, parsed: Parsed) => {
      const command = await import("./commands/webhooks.js");
      process.exitCode = await command.redeliverWebhook(deliveryId, parsed);
    });
  for (const command of [list, show, redeliver]) {
    for (const option of storageOptions()) command.addOption(option);
    command.option("--json", "print JSON");
  }
}

function count(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= 1_000) return value;
  throw new InvalidArgumentError("It must be a whole number from 1 to 1000.");
}
