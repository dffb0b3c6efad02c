/** Pauses between two looks whether a thread is there, or shown, by now; the last one for all that follow. */
const PAUSES_MS = [100, 250, 500, 1_000, 2_500] as const;
const LAST_MS = 5_000;

/** How long to wait before the next look. @param looks how many there were */
export function lookAgainMs(looks: number): number {
  return PAUSES_MS[looks] ?? LAST_MS;
}
