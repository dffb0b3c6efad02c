import { randomUUID } from "node:crypto";
import type { Dispatcher } from "../core/dispatcher.js";
import type { CancelAction, RunRef } from "../core/run.js";
import { openPostgres, type PostgresDatabase, type Statement } from "../databases/postgres/open.js";
import { Announcements } from "./announcements.js";
import type { DispatcherContext } from "./dispatchers.js";
import { GatheredHints } from "./gathered-hints.js";
import { GatheringSender } from "./gathering-sender.js";
import { NoticeListeners } from "./notice-listeners.js";
import { MAX_PAYLOAD_BYTES, noticePayload, parseNotice } from "./notice-payload.js";

const WORK = "heddle_work";
const SIGNAL = "heddle_signal";
const HINT = "heddle_hint";

/** Threads and cancels that wait for the database; what comes beyond is left to the workers' own look. */
const MAX_WAITING = 10_000;
const NOTIFY: Statement = {
  name: "heddle_notify",
  idempotent: true,
  text: "SELECT pg_notify(channel, payload) FROM unnest($1::text[], $2::text[]) AS notice (channel, payload)",
};

/**
 * Dispatcher by NOTIFY and LISTEN: one statement per turn of the event loop, and while one is under way the next gathers, because
 * NOTIFY takes a lock at commit (design §7.7). This process hears its own announcements at once, without the round trip. An
 * announcement with a delay waits in the process that made it; when that dies, the others' polling finds the run.
 * @param uri as for `openPostgres`; LISTEN goes to `context.directUri`
 * @throws HeddleError `STORAGE_UNAVAILABLE`
 */
export async function openPostgresDispatcher(uri: string, context: DispatcherContext): Promise<Dispatcher> {
  const database = await openPostgres(uri, context);
  try {
    return await listen(database, context);
  } catch (error) {
    await database.close();
    throw error;
  }
}

async function listen(database: PostgresDatabase, context: DispatcherContext): Promise<Dispatcher> {
  const { clock, logger } = context;
  const origin = randomUUID();
  const listeners = new NoticeListeners((error) => logger.error({ err: error }, "A listener to notifications failed"));
  const hints = new GatheredHints(listeners, () => sender.mark());
  const notices = new Notices(origin, hints);
  const sender = new GatheringSender(() => {
    const values = notices.take();
    if (values === null) return null;
    return database.query(NOTIFY, values).catch((error: unknown) => {
      const message = "Other processes could not be notified; they will look later";
      logger.warn({ err: error, database: database.name }, message);
    });
  });
  const announcements = new Announcements(clock, (threadIds) => {
    for (const threadId of threadIds) void listeners.work(threadId);
    notices.announce(threadIds);
    sender.mark();
  });

  const heard = (payload: string, take: (values: readonly string[]) => void): void => {
    const values = parseNotice(payload);
    if (values !== null && values[0] !== origin) take(values.slice(1));
  };
  const listener = database.listener();
  const stops = [
    await listener.listen(SIGNAL, (payload) =>
      heard(payload, ([threadId, runId, action]) => {
        if (threadId === undefined || runId === undefined || !isCancelAction(action)) return;
        listeners.signal({ threadId, runId }, action);
      }),
    ),
    await listener.listen(HINT, (payload) => heard(payload, (topics) => hints.heard(topics))),
    listener.onReconnected(() => listeners.hint(null)),
  ];
  // Whoever takes no work need not be woken for it.
  if (context.concurrency > 0) {
    stops.push(
      await listener.listen(WORK, (payload) =>
        heard(payload, (threadIds) => threadIds.forEach((threadId) => void listeners.work(threadId))),
      ),
      listener.onReconnected(() => void listeners.work(null)),
    );
  }

  let closing: Promise<void> | null = null;
  const close = async (): Promise<void> => {
    announcements.close();
    listeners.clear();
    for (const stop of stops) stop();
    await sender.close();
    await database.close();
  };
  return {
    announce: (threadId, { delayMs } = {}) => announcements.add(threadId, delayMs),
    onWork: (fn) => listeners.onWork(fn),
    signal(run, action) {
      if (closing !== null) return;
      queueMicrotask(() => listeners.signal(run, action));
      notices.signal(run, action);
      sender.mark();
    },
    onSignal: (fn) => listeners.onSignal(fn),
    hint(topic) {
      if (closing === null) hints.add(topic);
    },
    onHint: (fn) => listeners.onHint(fn),
    hearsOthers: true,
    close: () => (closing ??= close()),
  };
}

/** What waits to be sent: one statement for all. */
class Notices {
  readonly #origin: string;
  readonly #hints: GatheredHints;
  readonly #threadIds = new Set<string>();
  #signals: (readonly [RunRef, CancelAction])[] = [];

  constructor(origin: string, hints: GatheredHints) {
    this.#origin = origin;
    this.#hints = hints;
  }

  announce(threadIds: ReadonlySet<string>): void {
    for (const threadId of threadIds) if (this.#threadIds.size < MAX_WAITING) this.#threadIds.add(threadId);
  }

  signal(run: RunRef, action: CancelAction): void {
    if (this.#signals.length < MAX_WAITING) this.#signals.push([run, action]);
  }

  /** Parameters of {@link NOTIFY}; `null` when nothing waits. */
  take(): readonly [channels: readonly string[], payloads: readonly string[]] | null {
    const hint = this.#hints.take(this.#origin);
    if (this.#threadIds.size + this.#signals.length === 0) return hint === null ? null : [[HINT], [hint]];
    const signals = this.#signals.map(([run, action]) =>
      noticePayload([this.#origin, run.threadId, run.runId, action]),
    );
    const works = workPayloads(this.#origin, this.#threadIds);
    this.#threadIds.clear();
    this.#signals = [];
    const fitting = signals.filter((payload) => Buffer.byteLength(payload) <= MAX_PAYLOAD_BYTES);
    return [
      [...fitting.map(() => SIGNAL), ...works.map(() => WORK), ...(hint === null ? [] : [HINT])],
      [...fitting, ...works, ...(hint === null ? [] : [hint])],
    ];
  }
}

/** As many threads per payload as fit. A name that is too long for any is left to polling. */
function workPayloads(origin: string, threadIds: ReadonlySet<string>): readonly string[] {
  const payloads: string[] = [];
  let current = [origin];
  let bytes = Buffer.byteLength(noticePayload(current));
  const emptyBytes = bytes;
  for (const threadId of threadIds) {
    const more = Buffer.byteLength(JSON.stringify(threadId)) + 1;
    if (emptyBytes + more > MAX_PAYLOAD_BYTES) continue;
    if (bytes + more > MAX_PAYLOAD_BYTES) {
      payloads.push(noticePayload(current));
      current = [origin];
      bytes = emptyBytes;
    }
    current.push(threadId);
    bytes += more;
  }
  if (current.length > 1) payloads.push(noticePayload(current));
  return payloads;
}

function isCancelAction(value: string | undefined): value is CancelAction {
  return value === "interrupt" || value === "rollback";
}
