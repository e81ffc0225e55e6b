import type { Request, Response } from "express";
import type { Clock } from "../clock.ts";
import type { DatabaseConfig, PlatformConfig } from "../config.ts";
import { connectionOf } from "../config.ts";
import { listen } from "../store/listen.ts";
import type { Queryable } from "../store/queryable.ts";
import { findTenant } from "../store/tenants.ts";
import { viewTenant } from "./views.ts";

/**
 * Server-sent events: `tenant` with a school's view when it changed, `gone` with its name when it was purged, `resync`
 * when events may have been missed (read the lists again), and a comment every 20 s to keep the line open.
 */

const KEEPALIVE_MS = 20_000;
/** Many changes of one school in this time become one event. */
const COALESCE_MS = 50;
const MAX_SUBSCRIBERS = 200;

interface Subscriber {
  readonly slug: string | undefined;
  send(event: string, data: unknown): void;
}

export interface EventHub {
  subscribe(request: Request, response: Response): void;
  close(): Promise<void>;
}

export function createEventHub(options: {
  readonly database: DatabaseConfig;
  readonly db: Queryable;
  readonly platform: PlatformConfig;
  readonly clock: Clock;
}): EventHub {
  const subscribers = new Set<Subscriber>();
  const pending = new Set<string>();

  async function publish(slug: string): Promise<void> {
    pending.delete(slug);
    const interested = [...subscribers].filter(
      (subscriber) => subscriber.slug === undefined || subscriber.slug === slug,
    );
    if (interested.length === 0) return;
    // Something that all schools show: whoever looks reads the lists again.
    if (slug === "") return broadcast("resync", {});
    const tenant = await findTenant(options.db, slug).catch(() => null);
    if (tenant === null) return broadcast("resync", {});
    for (const subscriber of interested) {
      if (tenant === undefined) subscriber.send("gone", { slug });
      else subscriber.send("tenant", viewTenant(tenant, options.platform));
    }
  }

  function broadcast(event: string, data: unknown): void {
    for (const subscriber of subscribers) subscriber.send(event, data);
  }

  const stopListening = listen(
    connectionOf(options.database),
    "classmind_changed",
    {
      onWake: (slug) => {
        if (pending.has(slug)) return;
        pending.add(slug);
        setTimeout(() => void publish(slug), COALESCE_MS);
      },
      onGap: () => broadcast("resync", {}),
    },
    options.clock,
  );

  return {
    subscribe(request, response) {
      if (subscribers.size >= MAX_SUBSCRIBERS) {
        response.status(503).set("Retry-After", "5").end();
        return;
      }
      response
        .status(200)
        .set({ "Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no" });
      response.flushHeaders();
      const slug = typeof request.query.slug === "string" ? request.query.slug : undefined;
      const subscriber: Subscriber = {
        slug,
        send(event, data) {
          // A reader that does not read is cut off; it reconnects and reads the lists again.
          if (response.writableLength > 1_000_000) response.destroy();
          else response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
        },
      };
      subscribers.add(subscriber);
      subscriber.send("resync", {});
      const keepalive = setInterval(() => response.write(": still here\n\n"), KEEPALIVE_MS);
      response.on("close", () => {
        clearInterval(keepalive);
        subscribers.delete(subscriber);
      });
    },
    close: stopListening,
  };
}
