import { Refused } from "../../ground/gate/refusal.ts";
import type { UploadVisit } from "../../ground/gate/visit.ts";
import { InputProblem } from "../../ground/pages/input.ts";
import { groessteDatei, groessteEinlesung, legeAb, meisteDateien } from "./ablage.ts";
import { erkenne, type Quelldatei } from "./erkennen.ts";
import { kurz } from "./saetze.ts";
import { entpacke, istZip, KeinArchiv } from "./zip.ts";

/** Takes an uploaded file, or an archive of several: recognised, sealed, kept until it is confirmed. */

export async function nimmAn(visit: UploadVisit): Promise<void> {
  const { app, person, now, upload } = visit;
  const inhalt = await ganz(visit);
  const name = kurz((upload.name.split(/[/\\]/).at(-1) ?? "").trim()) || "Datei";
  const dateien = istZip(inhalt) ? ausArchiv(inhalt) : [{ name, inhalt }];
  const neue = dateien.map(
    (datei): Quelldatei => ({ ...datei, format: erkenne(datei.name, datei.inhalt), spalten: undefined }),
  );
  await visit.transaction((tx) => legeAb(tx, { app, ich: person.accountId }, now, neue));
}

async function ganz({ upload }: UploadVisit): Promise<Buffer> {
  const teile: Buffer[] = [];
  let laenge = 0;
  for await (const teil of upload.content) {
    const bytes = Buffer.from(teil);
    laenge += bytes.length;
    if (laenge > groessteDatei) {
      upload.content.destroy();
      throw zuGross();
    }
    teile.push(bytes);
  }
  const gebrochen = upload.failure();
  if (gebrochen) throw gebrochen;
  return Buffer.concat(teile);
}

const zuGross = () =>
  new Refused(
    413,
    "Die Datei ist zu groß",
    `Eine Datei darf hier höchstens ${groessteDatei / 1024 / 1024} MB groß sein.`,
    {
      hangUp: true,
    },
  );

function ausArchiv(inhalt: Buffer): ReadonlyArray<{ readonly name: string; readonly inhalt: Buffer }> {
  try {
    const alle = entpacke(inhalt, { dateien: meisteDateien, bytes: groessteEinlesung });
    if (alle.length === 0) throw new KeinArchiv("In dem Archiv ist keine Datei.");
    return alle.map((datei) => {
      if (datei.inhalt.length > groessteDatei) throw zuGross();
      return { ...datei, name: kurz(datei.name.trim()) || "Datei" };
    });
  } catch (error) {
    throw error instanceof KeinArchiv ? new InputProblem({ field: "datei", text: error.message }) : error;
  }
}
