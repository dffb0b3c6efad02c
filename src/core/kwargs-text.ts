import type { RunKwargs } from "./run.js";

/** What text of kwargs with a webhook begins with, and no other. */
const WEBHOOK_HEAD = /^\{"webhook":\{"host":"([^"\\]*)"/;

/** How many characters of a text {@link webhookHostOf} needs: a host's name has 253 at most. */
export const WEBHOOK_HEAD_CHARS = 300;

/**
 * Kwargs as stores keep them. A webhook comes first, and its host before everything else in it, so that whoever ends the run can
 * tell by the head of the text whether somebody is to be told: inside a database, and of sealed kwargs, too.
 */
export function kwargsText(kwargs: RunKwargs): string {
  const { webhook, ...rest } = kwargs;
  if (webhook === undefined) return JSON.stringify(rest);
  const { host, url } = webhook;
  return JSON.stringify({ webhook: { host, url }, ...rest });
}

/** The receiver's host, of kwargs as {@link kwargsText} writes them or of their head; `null` when nobody is to be told. */
export function webhookHostOf(text: string): string | null {
  return WEBHOOK_HEAD.exec(text)?.[1] ?? null;
}
