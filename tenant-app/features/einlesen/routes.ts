import type { Transaction } from "../../ground/database/database.ts";
import { type Reply, redirect } from "../../ground/gate/reply.ts";
import { type Declared, route } from "../../ground/gate/route.ts";
import type { PersonVisit, UploadVisit } from "../../ground/gate/visit.ts";
import { type InputError, InputProblem } from "../../ground/pages/input.ts";
import { page, view } from "../../ground/pages/page.ts";
import { StaleForm } from "../../ground/pages/stale.ts";
import { Konto } from "../konten/public.ts";
import { type Schuljahrwahl, schuljahre } from "../struktur/public.ts";
import {
  beschreibeDatei,
  entferneDatei,
  groessteDatei,
  groessteEinlesung,
  meisteDateien,
  merkeAngaben,
  type Einlesung as Offen,
  offeneEinlesung,
  verwirf,
} from "./ablage.ts";
import { type Einstellungen, einstellungenAus } from "./einstellungen.ts";
import { formate, formatnamen } from "./erkennen.ts";
import { nimmAn } from "./hochladen.ts";
import { Einlesung } from "./public.ts";
import { spaltenRoutes } from "./spaltenseite.ts";
import { vorschauRoutes } from "./vorschauseite.ts";

/** The way of an Einlesung: files, what they are, from when on, preview, confirmation. */

const einlesen = { right: Einlesung.right("einlesen"), scope: "schule" } as const;

const anfang = view<{
  readonly offen: Offen | undefined;
  readonly dateien: ReadonlyArray<{
    readonly id: string;
    readonly name: string;
    readonly groesse: number;
    readonly istListe: boolean;
    readonly formate: ReadonlyArray<{ readonly id: string; readonly name: string; readonly gewaehlt: boolean }>;
  }>;
  readonly jahre: ReadonlyArray<Schuljahrwahl & { readonly gewaehlt: boolean }>;
  readonly werte: Einstellungen;
  readonly darfKonten: boolean;
  readonly megabyte: number;
  readonly zusammenMegabyte: number;
  readonly meiste: number;
}>("einlesen/anfang");
const fertig = view<{ readonly darfKonten: boolean }>("einlesen/fertig");

export const einlesenRoutes: readonly Declared[] = [
  route({ method: "GET", path: "/einlesen", policy: einlesen, handle: (visit) => anfangsseite(visit, []) }),
  route({ method: "POST", path: "/einlesen", policy: einlesen, body: "upload", handle: ladeHoch }),
  route({ method: "POST", path: "/einlesen/datei", policy: einlesen, handle: datei }),
  route({ method: "POST", path: "/einlesen/einstellungen", policy: einlesen, handle: stelleEin }),
  route({
    method: "POST",
    path: "/einlesen/verwerfen",
    policy: einlesen,
    handle: async (visit) => {
      await visit.transaction(async (tx) => {
        const offen = await offeneEinlesung(tx, werIst(visit));
        if (offen) await verwirf(tx, offen.id);
      });
      return redirect("/einlesen?erledigt=verworfen");
    },
  }),
  route({
    method: "GET",
    path: "/einlesen/fertig",
    policy: einlesen,
    handle: async (visit) =>
      page(visit, fertig, { darfKonten: visit.may(Konto.right("anlegen"), "schule") }, { title: "Eingelesen" }),
  }),
  ...spaltenRoutes,
  ...vorschauRoutes,
];

const werIst = ({ app, person }: PersonVisit) => ({ app, ich: person.accountId });

async function ladeHoch(visit: UploadVisit): Promise<Reply> {
  try {
    await nimmAn(visit);
    return redirect("/einlesen?erledigt=datei-da");
  } catch (error) {
    if (error instanceof InputProblem) return anfangsseite(visit, error.errors);
    throw error;
  }
}

async function anfangsseite(
  visit: PersonVisit,
  errors: readonly InputError[],
  eingabe?: Einstellungen,
): Promise<Reply> {
  const { offen, jahre, heute } = await visit.transaction(async (tx) => ({
    offen: await offeneEinlesung(tx, werIst(visit)),
    jahre: await schuljahre(tx),
    heute: await tag(tx),
  }));
  const werte = eingabe ?? offen?.einstellungen ?? vorschlag(jahre, heute);
  const dateien = (offen?.dateien ?? []).map(({ id, name, groesse, format }) => ({
    id,
    name,
    groesse,
    istListe: format === "liste",
    formate: formate.map((eines) => ({ id: eines, name: formatnamen[eines], gewaehlt: eines === format })),
  }));
  const megabyte = (bytes: number) => Math.floor(bytes / 1024 / 1024);
  const data = {
    offen,
    dateien,
    werte,
    jahre: jahre.map((jahr) => ({ ...jahr, gewaehlt: jahr.id === werte.jahr })),
    darfKonten: visit.may(Konto.right("anlegen"), "schule"),
    megabyte: megabyte(Math.min(groessteDatei, visit.app.config.uploadLimit)),
    zusammenMegabyte: megabyte(groessteEinlesung),
    meiste: meisteDateien,
  };
  return page(visit, anfang, data, { title: "Listen einlesen", errors });
}

const tag = async (tx: Transaction) => (await tx.one<{ tag: string }>("SELECT heute()::text AS tag"))?.tag ?? "";

/** The year of today from today on; else the next one, from its first day. */
function vorschlag(jahre: readonly Schuljahrwahl[], heute: string): Einstellungen {
  const jahr = jahre.find(({ jetzt }) => jetzt) ?? [...jahre].reverse().find(({ von }) => von > heute) ?? jahre[0];
  const ab = jahr && !jahr.jetzt ? jahr.von : heute;
  return { jahr: jahr?.id ?? "", ab, konten: false, klassenkurse: true };
}

async function datei(visit: PersonVisit): Promise<Reply> {
  const id = visit.form.get("datei") ?? "";
  const format = formate.find((eines) => eines === visit.form.get("format"));
  await visit.transaction(async (tx) => {
    const offen = await offeneEinlesung(tx, werIst(visit));
    const gemeint = offen?.dateien.find((eine) => eine.id === id);
    if (!offen || !gemeint) return;
    if (visit.form.get("schritt") === "entfernen") await entferneDatei(tx, offen, id);
    else if (format) await beschreibeDatei(tx, werIst(visit), visit.now, { ...gemeint, format });
  });
  return redirect("/einlesen");
}

async function stelleEin(visit: PersonVisit): Promise<Reply> {
  const { eingabe, pruefe } = einstellungenAus(visit.form);
  try {
    await visit.transaction(async (tx, jetzt) => {
      const offen = await offeneEinlesung(tx, werIst(visit));
      if (!offen) throw new InputProblem({ field: "datei", text: "Bitte laden Sie zuerst eine Datei hoch." });
      const einstellungen = pruefe(await schuljahre(tx));
      if (einstellungen.konten && !jetzt.may(Konto.right("anlegen"), "schule")) {
        throw new InputProblem({ field: "konten", text: "Konten anlegen dürfen Sie nicht. Lassen Sie das Feld leer." });
      }
      await merkeAngaben(tx, werIst(visit), visit.now, { ...offen, einstellungen });
    });
    return redirect("/einlesen/vorschau");
  } catch (error) {
    if (error instanceof InputProblem) return anfangsseite(visit, error.errors, eingabe);
    if (error instanceof StaleForm) return redirect("/einlesen");
    throw error;
  }
}
