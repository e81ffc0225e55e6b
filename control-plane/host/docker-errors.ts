/** HTTP status of an error of the Docker API, undefined for other errors. 304: it was so already; 404: there is none. */
export function statusOf(error: unknown): number | undefined {
  return typeof error === "object" && error !== null && "statusCode" in error && typeof error.statusCode === "number"
    ? error.statusCode
    : undefined;
}
