declare module "*.svg" {
  const url: string;
  export default url;
}
declare module "*.css";
/** What the page supplies by `experimental_loadShare`; installed nowhere. */
declare module "@acme/shared" {
  export const shared: string;
}
