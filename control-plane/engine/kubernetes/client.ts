import type { ObjectRef } from "../engine.ts";
import { isStatus } from "./failure.ts";
import { FIELD_MANAGER, objectPath } from "./kinds.ts";
import { at, type LiveObject, listAt, textAt } from "./live.ts";
import type { Transport } from "./transport.ts";

/** The few things the engine does with objects, over one transport. */
export interface Client {
  get(namespace: string, ref: ObjectRef, signal?: AbortSignal): Promise<LiveObject | undefined>;
  /** All objects of a collection, page by page. */
  list(path: string, query?: ListQuery, signal?: AbortSignal): Promise<Listing>;
  /** Server-side apply. Answers the object as it is now. */
  apply(namespace: string, ref: ObjectRef, body: unknown, options: ApplyCall): Promise<LiveObject>;
  /** Absent objects are fine, and so is one that is no longer the one meant. */
  delete(namespace: string, ref: ObjectRef, options?: DeleteCall): Promise<void>;
  /** Calls `onEvent` for each event until the stream ends or the signal aborts. */
  watch(path: string, query: WatchQuery, onEvent: (event: WatchEvent) => void, signal: AbortSignal): Promise<void>;
  readonly transport: Transport;
}

export interface ListQuery {
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Only metadata is asked for. */
  readonly metadataOnly?: boolean;
}

export interface WatchQuery extends ListQuery {
  readonly resourceVersion: string;
  readonly timeoutSeconds: number;
}

export interface Listing {
  readonly items: readonly LiveObject[];
  readonly resourceVersion: string;
}

export interface WatchEvent {
  readonly type: string;
  readonly object: LiveObject;
}

interface ApplyCall {
  readonly force?: boolean;
  readonly manager?: string;
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal | undefined;
}

interface DeleteCall {
  /** Deletes only the object of this uid. */
  readonly uid?: string | undefined;
  readonly propagation?: "Foreground" | "Background";
  readonly graceSeconds?: number;
  readonly signal?: AbortSignal | undefined;
}

const PAGE = 500;
const METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

function isObject(value: unknown): value is LiveObject {
  return typeof at(value, "metadata") === "object";
}

/** Feeds whole lines to `onLine`. */
export function lineSplitter(onLine: (line: string) => void): { push(chunk: string): void; end(): void } {
  let rest = "";
  return {
    push(chunk) {
      const parts = (rest + chunk).split("\n");
      rest = parts.pop() ?? "";
      for (const line of parts) onLine(line);
    },
    end() {
      if (rest !== "") onLine(rest);
      rest = "";
    },
  };
}

export function openClient(transport: Transport): Client {
  return {
    transport,
    async get(namespace, ref, signal) {
      try {
        const found = await transport.request({ path: objectPath(namespace, ref), signal });
        return isObject(found) ? found : undefined;
      } catch (error) {
        if (isStatus(error, 404)) return undefined;
        throw error;
      }
    },
    async list(path, query = {}, signal) {
      const items: LiveObject[] = [];
      const { metadataOnly, ...selectors } = query;
      let token: string | undefined;
      for (;;) {
        const page = await transport.request({
          path,
          query: { ...selectors, limit: PAGE, continue: token },
          ...(metadataOnly === true ? { accept: METADATA_LIST } : {}),
          signal,
        });
        items.push(...listAt(page, "items").filter(isObject));
        token = textAt(page, "metadata", "continue");
        if (token === undefined || token === "")
          return { items, resourceVersion: textAt(page, "metadata", "resourceVersion") ?? "" };
      }
    },
    async apply(namespace, ref, body, options) {
      const answer = await transport.request({
        method: "PATCH",
        path: objectPath(namespace, ref),
        query: {
          fieldManager: options.manager ?? FIELD_MANAGER,
          force: options.force ?? false,
          fieldValidation: "Strict",
          dryRun: options.dryRun === true ? "All" : undefined,
        },
        body,
        contentType: "application/apply-patch+yaml",
        signal: options.signal,
      });
      return isObject(answer) ? answer : { metadata: { name: ref.name } };
    },
    async delete(namespace, ref, options = {}) {
      try {
        await transport.request({
          method: "DELETE",
          path: objectPath(namespace, ref),
          body: {
            apiVersion: "v1",
            kind: "DeleteOptions",
            propagationPolicy: options.propagation ?? "Background",
            ...(options.uid === undefined ? {} : { preconditions: { uid: options.uid } }),
            ...(options.graceSeconds === undefined ? {} : { gracePeriodSeconds: options.graceSeconds }),
          },
          signal: options.signal,
        });
      } catch (error) {
        // Gone; or another object of this name took its place (409), which nobody asked to delete; or a namespace's end has begun.
        if (!isStatus(error, 404) && !isStatus(error, 409)) throw error;
      }
    },
    async watch(path, query, onEvent, signal) {
      const { metadataOnly, ...rest } = query;
      const lines = lineSplitter((line) => {
        if (line.trim() === "") return;
        const event: unknown = JSON.parse(line);
        const object = at(event, "object");
        onEvent({
          type: textAt(event, "type") ?? "",
          object: isObject(object) ? object : { metadata: { name: "" }, status: object },
        });
      });
      await transport.stream(
        {
          path,
          query: { ...rest, watch: true, allowWatchBookmarks: true },
          ...(metadataOnly === true ? { accept: METADATA } : {}),
          signal,
        },
        lines.push,
      );
      lines.end();
    },
  };
}
