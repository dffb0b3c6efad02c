/** NOTIFY takes less than 8,000 bytes. */
export const MAX_PAYLOAD_BYTES = 7_900;

/** A notification between processes: a JSON list of texts, whose first one names the sender. */
export function noticePayload(values: readonly string[]): string {
  return JSON.stringify(values);
}

/** `null` for what is not ours: anyone may send to a channel. */
export function parseNotice(payload: string): readonly string[] | null {
  try {
    const values: unknown = JSON.parse(payload);
    return Array.isArray(values) && values.every((value) => typeof value === "string") ? values : null;
  } catch {
    return null;
  }
}
