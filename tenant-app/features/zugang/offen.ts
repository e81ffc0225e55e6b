import { securityCookie, setKey } from "../../ground/gate/cookies.ts";
import { formKey, newKey } from "../../ground/gate/keys.ts";
import type { Reply } from "../../ground/gate/reply.ts";
import type { Visit } from "../../ground/gate/visit.ts";
import type { InputError } from "../../ground/pages/input.ts";
import { page, type View } from "../../ground/pages/page.ts";

interface OffeneSeite {
  readonly title: string;
  readonly errorTitle?: string;
  readonly errors: readonly InputError[];
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * A page with a form for whoever is not signed in: the form carries a key that belongs to the browser's Sicherheits-Schlüssel, which is
 * made if there is none yet.
 */
export function offeneSeite<D extends object>(
  visit: Visit,
  ansicht: View<D>,
  daten: NoInfer<D>,
  options: OffeneSeite,
): Reply {
  const fresh = visit.securityKey === undefined ? newKey() : undefined;
  const sicherheit = visit.securityKey ?? fresh ?? "";
  return page(visit, ansicht, daten, {
    ...options,
    formKey: formKey(visit.app.sessionKey, { sicherheit }),
    ...(fresh === undefined ? {} : { cookies: [setKey(securityCookie, fresh)] }),
  });
}
