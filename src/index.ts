/** Serve LangGraph graphs over HTTP. @module heddle */
export { createApp, type CreateAppOptions, type HeddleServer } from "./app.js";
export { apiKey, type ApiKeyOptions } from "./auth/api-key.js";
export { agentexStates } from "./protocols/agentex-states/index.js";
export { stateStore } from "./protocols/state-store/index.js";
export { openwop } from "./protocols/openwop/index.js";
export { snapstate } from "./protocols/snapstate/index.js";
export { jwt } from "./auth/jwt.js";
export type { JwtOptions } from "./auth/jwt-options.js";
export type { ApiKeyAdmin, ApiKeyRequest, ListedApiKey } from "./auth/api-key-admin.js";
export type {
  AppOptions,
  AuthOptions,
  CorsOptions,
  HttpOptions,
  LogLevel,
  StreamingOptions,
  WorkerOptions,
} from "./config/options.js";
export type { EmbeddingsOption, StoreIndexOptions, StoreOptions, StoreTtlOptions } from "./config/store-options.js";
export type { AuditOptions, AuditSink, LimitsOptions, RequestRate } from "./config/limits-options.js";
export type { AuditEntry } from "./core/audit.js";
export {
  ANONYMOUS,
  authFactory,
  AuthRefusal,
  SERVER,
  type AccessFilter,
  type AuthDeps,
  type AuthFactory,
  type Authorizer,
  type AuthProvider,
  type Caller,
} from "./core/auth.js";
export { HeddleError, isHeddleError, type ErrorCode } from "./core/errors.js";
export type { Driver, DriverContext } from "./core/driver.js";
export type { StorageDrivers } from "./open-storage.js";
export type { Services } from "./services/create-services.js";
