import type { Caller } from "../core/auth.js";
import type { Clock } from "../core/clock.js";
import type { EventCursor } from "../core/event-log.js";
import type { Idempotency } from "../core/idempotency.js";
import type { JsonObject, JsonText } from "../core/json.js";
import type { Logger } from "../core/logger.js";
import type { RunEvent } from "../core/run-event.js";
import type { UiBundles } from "../core/ui.js";
import type { Services } from "../services/create-services.js";
import type { ServerInfo } from "../wire/system.js";
import type { BodyLimits } from "./body-limits.js";
import type { CustomApp } from "./custom-app.js";
import type { CorsRules } from "./middleware/cors.js";
import type { Mount } from "./mounts/serve-mount.js";
import type { RequestGuard } from "./request-guard.js";
import type { HeadLimits } from "./request-head.js";
import type { AuthDocument } from "./openapi.js";
import type { WebhookPolicy } from "../core/webhook.js";
import type { Route, ServedGroup } from "./route.js";

/** What the routes need of `streaming/sse.ts` and `streaming/wait-response.ts`, which http does not import. */
export interface StreamBodies {
  readonly sseHeaders: Readonly<Record<string, string>>;
  /** Owns the cursor and closes it. */
  sseStream(cursor: EventCursor, options: SseOptions): ReadableStream<Uint8Array>;
  /** Answers in one piece when the document is there at once, else with newlines until it is. */
  waitResponse(
    document: Promise<JsonText>,
    options: {
      readonly clock: Clock;
      readonly keepAliveMs?: number;
      readonly graceMs?: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly signal?: AbortSignal;
      readonly onCancel?: () => void;
      readonly onError: (error: unknown) => JsonText;
    },
  ): Promise<Response>;
}

/** As `streaming/sse.ts` has them. */
export interface SseOptions {
  readonly clock: Clock;
  readonly withIds: boolean;
  readonly filter?: (event: RunEvent) => boolean;
  readonly encode?: (event: RunEvent) => string;
  readonly heartbeatMs?: number;
  readonly stalledMs?: number;
  readonly tokenGap?: "continue" | "error";
  readonly signal?: AbortSignal;
  readonly cut?: AbortSignal;
  readonly onCancel?: () => void;
  readonly onError?: (error: unknown) => void;
}

/** The http part of the resolved configuration. */
export interface HttpSettings extends BodyLimits, HeadLimits {
  /** `""`, or `/` + segments without a trailing slash. */
  readonly basePath: string;
  /** `null`: no CORS headers. */
  readonly cors: CorsRules | null;
  readonly disabled: Readonly<Record<ServedGroup, boolean>>;
  /** Larger bodies are answered with 413. */
  readonly maxBodyBytes: number;
  /** A client that has taken nothing of a stream for so long counts as gone. */
  readonly stalledMs: number;
  /** Headers for log lines; absent: none. */
  readonly loggingHeaders?: ((headers: Headers) => JsonObject) | null;
  /** The callers of open streams are asked again who they are this often; 0 or absent: never. */
  readonly reauthenticateMs?: number;
  /** Comments on idle streams and newlines on waits come this often. */
  readonly heartbeatMs: number;
  /** A LangSmith key is configured, whether or not runs are traced. */
  readonly langsmith: boolean;
  /** Which webhooks runs may have; `null`: none. */
  readonly webhooks: WebhookPolicy | null;
  /** This process only executes runs: `/ok` and `/info` are answered, the rest with 503. Default false. */
  readonly workerOnly?: boolean;
}

/** What {@link createHttpApp} is made of. */
export interface HttpDeps {
  readonly services: Services;
  readonly idempotency: Idempotency;
  readonly streaming: StreamBodies;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly settings: HttpSettings;
  readonly info: ServerInfo;
  /** Components for browsers, by graph id or alias. */
  readonly ui: UiBundles;
  /** Who asks. Throws `UNAUTHENTICATED`. */
  readonly authenticate: (request: Request) => Caller | Promise<Caller>;
  /**
   * Ask again who asks, of a stream that is open, with the caller it was opened as. Throws what `authenticate` throws. Absent or
   * `null`: credentials count when a stream opens.
   */
  readonly reauthenticate?: ((request: Request, caller: Caller) => Caller | Promise<Caller>) | null;
  /** What the OpenAPI document says of authentication; absent or `null`: nobody is asked who they are. */
  readonly authDocument?: AuthDocument | null;
  /** Called before every request is served: starts the workers on the first one. */
  readonly onRequest: () => Promise<void>;
  readonly isDraining: () => boolean;
  /** Routes and middleware of the deployer's own. */
  readonly customApp?: CustomApp | null;
  /** Limits per caller and audit; `null`: there are none. */
  readonly guard: RequestGuard | null;
  /** Round trip to the storage; rejects when it is not available. */
  readonly checkStorage: () => Promise<void>;
  /** Routes of other protocols than the REST API. Default none. */
  readonly protocolRoutes?: readonly Route[];
  /** Other protocols that share this app's port; no two of them overlap. Default none. */
  readonly mounts?: readonly Mount[];
  /** Aborted when the server closes: ends open streams. */
  readonly closing?: AbortSignal;
}
