import { perApp } from "../../ground/app.ts";

/** Bounds uploads that run at once, for one person and for all, so that slow ones cannot occupy the server. */
export interface Uploadplaetze {
  /** Takes a place; returns what gives it back, or undefined when none is free. */
  enter(kontoId: string): (() => void) | undefined;
}

export function uploadplaetze(perPerson: number, total: number): Uploadplaetze {
  const running = new Map<string, number>();
  let all = 0;
  return {
    enter: (kontoId) => {
      const own = running.get(kontoId) ?? 0;
      if (own >= perPerson || all >= total) {
        return undefined;
      }
      running.set(kontoId, own + 1);
      all += 1;
      return () => {
        all -= 1;
        const left = (running.get(kontoId) ?? 1) - 1;
        if (left > 0) {
          running.set(kontoId, left);
        } else {
          running.delete(kontoId);
        }
      };
    },
  };
}

/** The school's own: two at once for one person, twelve for all. */
export const plaetzeOf = perApp(() => uploadplaetze(2, 12));
