/**
 * Serve a Heddle app from Node: listen, log, stop on a signal.
 * @module heddle/node
 */
export {
  type FetchServer,
  type Listener,
  type ListenOptions,
  isLoopbackHost,
  listen,
  listenProtocols,
} from "./listen.js";
export { type LoggerOptions, createLogger, isForPeople } from "../logging/logger.js";
export { nodeHandler } from "./request-listener.js";
export { acceptWebSockets } from "./web-sockets.js";
export { type StopSignal, runUntilSignal } from "./run-until-signal.js";
