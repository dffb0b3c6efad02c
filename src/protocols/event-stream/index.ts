export { eventStreamRoutes } from "./routes.js";
