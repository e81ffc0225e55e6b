import type { Logger } from "pino";
import { UnreadableField } from "./fields.ts";

/** What stands in place of a text that does not decrypt. */
export const unreadable = "Nicht lesbar";

/**
 * A sealed text, or words in its place if it does not decrypt: one damaged row takes no page away from everybody. The operator is told,
 * without its content.
 */
export function textOrUnreadable(log: Logger, read: () => string): string {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof UnreadableField)) {
      throw error;
    }
    log.error({ field: error.message }, "a field does not decrypt");
    return unreadable;
  }
}
