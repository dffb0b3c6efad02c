import type { Clock, Timer } from "../../core/clock.js";
import type { Caller } from "../../core/auth.js";
import { HeddleError, isHeddleError } from "../../core/errors.js";
import type { EventPosition } from "../../core/event-log.js";
import type { EpochMs, JsonObject, JsonText } from "../../core/json.js";
import { toJsonText } from "../../core/json.js";
import type { RunEvent } from "../../core/run-event.js";
import type { CredentialsEnd, CredentialsWatch } from "../../http/credentials-watch.js";
import { CREDENTIALS_OVER } from "../../http/credentials-watch.js";
import type { SocketHandler, UpgradedSocket } from "../../http/upgrade.js";
import type { AgentTree } from "../../services/thread-commands/index.js";
import type { CommandContext } from "./answer-command.js";
import { answerCommand, codeOfCommand, failureFrame } from "./answer-command.js";
import { reconnectParams } from "./command-params.js";
import { eventFrame } from "./frames.js";
import { CommandRefused } from "./protocol-errors.js";
import { filterOfSubscription, newSubscriptionId } from "./subscription-id.js";
import { type Subscribed, Subscriptions } from "./subscriptions.js";
import type { Command } from "./wire.js";
import { decodeFilter, positionAfter, readCommand } from "./wire.js";

/** Bytes that a peer may be behind before no more is read for it. */
const MAX_BUFFERED_BYTES = 1024 * 1024;
/** Commands that may wait for the one under way; then no more are taken from the socket. */
const MAX_WAITING_COMMANDS = 64;
/** A ping comes after so many heartbeats of streams. */
const HEARTBEATS_PER_PING = 3;
/** A peer that has not answered so many pings is gone. */
const UNANSWERED_PINGS = 3;

/**
 * How long after a command more of them are expected, at most so many times in a row. The SDK (1.15.0) makes its subscriptions
 * anew in one go, but each is a frame of its own, and a busy machine or network brings them one by one.
 */
const SETTLE_MS = 100;
const MAX_SETTLES = 20;

/**
 * Close codes (RFC 6455 §7.4): clients of the SDK (1.15.0) connect again after all but 4404, with what credentials they have then.
 * 3000 is "Unauthorized" in IANA's registry. Who comes with bad ones is refused with 4401, after which no client comes again.
 */
const CLOSE = { restart: 1012, failure: 1011, threadGone: 4404, credentialsOver: 3000 } as const;

export interface ConnectionDeps extends Omit<CommandContext, "subscriptions"> {
  /** Watches the caller's credentials, and says when they are over; `null`: nobody does. */
  readonly watch: (onEnd: (end: CredentialsEnd) => void) => CredentialsWatch | null;
  readonly clock: Clock;
  readonly heartbeatMs: number;
  /** A message as JSON. @throws SyntaxError, HeddleError `INVALID_REQUEST` for what is over a limit */
  readonly parse: (text: string) => unknown;
  /** Aborted when the server closes. */
  readonly closing: AbortSignal | null;
}

/** A thread's commands and events on one WebSocket (docs/wire/langgraph-api.md §4.7). */
export function openConnection(deps: ConnectionDeps): SocketHandler {
  let connection: Connection | null = null;
  return {
    onOpen: (socket) => {
      connection = new Connection(deps, socket);
    },
    onMessage: (text) => connection?.receive(text),
    onPong: () => connection?.alive(),
    onClose: () => connection?.release(),
  };
}

class Connection {
  readonly #deps: ConnectionDeps;
  readonly #socket: UpgradedSocket;
  readonly #subscriptions: Subscriptions;
  readonly #credentials: CredentialsWatch | null;
  /** What gives back the stream of a subscription, by its id. */
  readonly #permits = new Map<string, () => void>();
  readonly #waiting: string[] = [];
  #working = false;
  #over = false;
  #ping: Timer | null = null;
  #unanswered = 0;
  #lastCommandAt: EpochMs = 0;
  /** What starts once the response of the command under way is out. */
  #afterResponse: (() => void)[] = [];
  readonly #onClosing = (): void => this.#close(CLOSE.restart, "The server is shutting down.");

  constructor(deps: ConnectionDeps, socket: UpgradedSocket) {
    this.#deps = deps;
    this.#socket = socket;
    const { services, threadId, closing } = deps;
    this.#credentials = deps.watch((end) => this.#credentialsOver(end));
    this.#subscriptions = new Subscriptions({
      follow: (position, showsValues) =>
        services.threadEvents.follow(this.#caller, threadId, { position, showsValues }),
      send: (event) => this.#sendEvent(event),
      settled: () => this.#settled(),
      onEnd: () => {
        if (closing?.aborted === true) this.#onClosing();
        else this.#close(CLOSE.threadGone, "The thread was deleted.");
      },
      onError: (error) => this.#fail(error),
    });
    if (closing?.aborted === true) {
      this.#onClosing();
      return;
    }
    closing?.addEventListener("abort", this.#onClosing, { once: true });
    this.#armPing();
  }

  receive(text: string): void {
    this.alive();
    if (this.#over) return;
    this.#lastCommandAt = this.#deps.clock.now();
    this.#waiting.push(text);
    if (this.#waiting.length >= MAX_WAITING_COMMANDS) this.#socket.pause();
    if (!this.#working) void this.#work();
  }

  get #caller(): Caller {
    return this.#credentials?.caller ?? this.#deps.caller;
  }

  alive(): void {
    this.#unanswered = 0;
  }

  /** The socket is closed. */
  release(): void {
    if (this.#over) return;
    this.#over = true;
    this.#ping?.cancel();
    this.#credentials?.close();
    this.#subscriptions.close();
    this.#waiting.length = 0;
    this.#deps.closing?.removeEventListener("abort", this.#onClosing);
  }

  /** One command after the other, as the client sent them. */
  async #work(): Promise<void> {
    this.#working = true;
    for (let text = this.#waiting.shift(); text !== undefined; text = this.#waiting.shift()) {
      if (this.#waiting.length === MAX_WAITING_COMMANDS - 1) this.#socket.resume();
      const frame = await this.#answer(text);
      if (this.#over) break;
      const slow = this.#send(frame);
      // From here on the client may send the next one; the answer may have taken its time.
      this.#lastCommandAt = this.#deps.clock.now();
      // Subscriptions that come together start together: one reader serves them, in one order.
      if (this.#waiting.length === 0) for (const start of this.#afterResponse.splice(0)) start();
      if (slow !== null) await slow;
    }
    this.#working = false;
  }

  async #answer(text: string): Promise<string> {
    let command: Command | string;
    try {
      command = readCommand(this.#deps.parse(text));
    } catch (error) {
      command = isHeddleError(error) ? error.message : "Protocol commands must be valid JSON.";
    }
    if (typeof command === "string") return this.#refuse(command);
    try {
      // Over: the socket is closed, and this goes nowhere.
      if ((await this.#credentials?.check()) === false) throw new HeddleError("UNAUTHENTICATED");
      return await answerCommand(command, {
        ...this.#deps,
        caller: this.#caller,
        subscriptions: (subscription) => this.#subscription(subscription),
      });
    } catch (error) {
      return failureFrame(command.id, command.method, error, this.#deps);
    }
  }

  /** What is no command counts as one. */
  async #refuse(message: string): Promise<string> {
    const { guarded } = this.#deps;
    const refused = (): Promise<never> => Promise.reject(new CommandRefused("invalid_argument", message));
    try {
      return await (guarded === null ? refused() : guarded.command("invalid", refused, codeOfCommand));
    } catch (error) {
      return failureFrame(null, "invalid", error, this.#deps);
    }
  }

  #subscription({ method, params }: Command): Promise<JsonText> {
    if (method === "subscription.subscribe") return this.#subscribe(params);
    if (method === "subscription.unsubscribe") return this.#unsubscribe(params);
    if (method === "subscription.reconnect") return this.#reconnect(params);
    throw new CommandRefused("unknown_command", `Unknown protocol command: ${method}`);
  }

  async #subscribe(params: JsonObject): Promise<JsonText> {
    const { channels } = params;
    if (!Array.isArray(channels) || channels.length === 0) {
      throw new CommandRefused("invalid_argument", "subscription.subscribe requires a non-empty channels array.");
    }
    const filter = decodeFilter(params);
    const id = newSubscriptionId(filter);
    const { replayedEvents } = await this.#add(id, filter, "start");
    return toJsonText({
      subscription_id: id,
      ...(replayedEvents === null ? {} : { replayed_events: replayedEvents }),
    });
  }

  async #unsubscribe(params: JsonObject): Promise<JsonText> {
    const { subscription_id: id } = params;
    if (typeof id !== "string") {
      throw new CommandRefused("invalid_argument", "subscription.unsubscribe requires a subscription_id.");
    }
    if (!this.#subscriptions.remove(id)) {
      throw new CommandRefused("no_such_subscription", `Unknown subscription: ${id}`);
    }
    this.#permits.get(id)?.();
    this.#permits.delete(id);
    return toJsonText({});
  }

  /** Subscriptions of an earlier connection, from the event on that the client has seen last. */
  async #reconnect(params: JsonObject): Promise<JsonText> {
    const { runId, lastSeq, subscriptionIds } = reconnectParams(params);
    const { services, threadId } = this.#deps;
    const caller = this.#caller;
    const tree = await services.threadCommands.tree(caller, threadId, runId);
    const found = subscriptionIds.map((id) => ({ id, filter: filterOfSubscription(id) }));
    const unknown = found.find(({ filter }) => filter === null);
    if (unknown !== undefined) {
      throw new CommandRefused("no_such_subscription", `Unknown subscription: ${unknown.id}`);
    }
    for (const { id, filter } of found) {
      if (this.#over) break;
      if (filter !== null && !this.#subscriptions.has(id)) await this.#add(id, filter, positionAfter(lastSeq));
    }
    const newest = await services.threadEvents.lastSeq(caller, threadId);
    return toJsonText({
      restored: true,
      missed_events: Math.max(0, newest - lastSeq),
      current_namespaces: statusesOf(tree),
    });
  }

  async #add(id: string, filter: Parameters<Subscriptions["add"]>[1], position: EventPosition): Promise<Subscribed> {
    const release = this.#deps.guarded?.permits.subscribe();
    let added: Subscribed;
    try {
      added = await this.#subscriptions.add(id, filter, position);
    } catch (error) {
      release?.();
      throw error;
    }
    // An id that is there already, as the same filter made twice has it, counts once.
    this.#permits.get(id)?.();
    if (release !== undefined) this.#permits.set(id, release);
    this.#afterResponse.push(() => added.start());
    return added;
  }

  /** No command is under way, and none has come for a moment. */
  async #settled(): Promise<void> {
    const { clock } = this.#deps;
    for (let tries = 0; tries < MAX_SETTLES && !this.#over; tries += 1) {
      const waitMs = this.#working ? SETTLE_MS : this.#lastCommandAt + SETTLE_MS - clock.now();
      if (waitMs <= 0) return;
      await new Promise<void>((resolve) => void clock.setTimer(resolve, waitMs));
    }
  }

  #sendEvent(event: RunEvent): Promise<void> | null {
    return this.#send(eventFrame(event));
  }

  /** @returns a promise when the peer is behind */
  #send(frame: string): Promise<void> | null {
    if (this.#over) return null;
    if (this.#socket.bufferedBytes < MAX_BUFFERED_BYTES) {
      this.#socket.send(frame);
      return null;
    }
    return new Promise((resolve) => {
      this.#socket.send(frame, () => {
        this.alive();
        resolve();
      });
    });
  }

  #armPing(): void {
    this.#ping = this.#deps.clock.setTimer(() => {
      this.#unanswered += 1;
      if (this.#unanswered > UNANSWERED_PINGS) {
        this.#socket.terminate();
        return;
      }
      this.#socket.ping();
      this.#armPing();
    }, this.#deps.heartbeatMs * HEARTBEATS_PER_PING);
  }

  #credentialsOver(end: CredentialsEnd): void {
    const reason = CREDENTIALS_OVER[end.kind];
    if (end.kind === "refused") this.#close(4000 + end.status, reason);
    else this.#close(end.kind === "unknown" ? CLOSE.failure : CLOSE.credentialsOver, reason);
  }

  #fail(error: unknown): void {
    const { requestId, threadId, logger } = this.#deps;
    logger.error({ requestId, threadId, err: error }, "event stream failed");
    this.#close(CLOSE.failure, "The events could not be read.");
  }

  #close(code: number, reason: string): void {
    if (this.#over) return;
    this.release();
    this.#socket.close(code, reason);
  }
}

function statusesOf(tree: AgentTree): readonly JsonObject[] {
  return [{ namespace: tree.namespace, status: tree.status }, ...tree.children.flatMap(statusesOf)];
}
