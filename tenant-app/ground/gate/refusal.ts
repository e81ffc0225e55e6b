/** Ends a request with an error page. The texts are for the person at the browser; they never say what exists. */
export class Refused extends Error {
  override readonly name = "Refused";
  readonly status: number;
  readonly title: string;
  readonly advice: string;
  /** Seconds. */
  readonly retryAfter: number | undefined;
  /** The request's body was not read: the connection cannot be used again. */
  readonly hangUp: boolean;
  constructor(
    status: number,
    title: string,
    advice: string,
    options: { readonly retryAfter?: number; readonly hangUp?: boolean } = {},
  ) {
    super(`${status} ${title}`);
    this.status = status;
    this.title = title;
    this.advice = advice;
    this.retryAfter = options.retryAfter;
    this.hangUp = options.hangUp ?? false;
  }
}

/** For whatever does not exist, and for whatever exists but is not this person's to know of. */
export function notFound(): Refused {
  return new Refused(404, "Seite nicht gefunden", "Diese Seite gibt es nicht, oder sie ist nicht für Sie bestimmt.");
}

export function forbidden(): Refused {
  return new Refused(
    403,
    "Dafür haben Sie keine Berechtigung",
    "Wenn Sie diese Funktion brauchen, wenden Sie sich an die Administration Ihrer Schule.",
  );
}

export function staleForm(): Refused {
  return new Refused(
    403,
    "Das Formular ist nicht mehr gültig",
    "Aus Sicherheitsgründen wurde nichts gespeichert. Öffnen Sie die Seite neu und versuchen Sie es noch einmal.",
  );
}

export function foreignForm(): Refused {
  return new Refused(
    403,
    "Anfrage von fremder Seite abgewiesen",
    "Das Formular wurde nicht von dieser Plattform aus abgeschickt. Es wurde nichts gespeichert.",
  );
}

export function sessionOver(): Refused {
  return new Refused(
    403,
    "Sie sind nicht mehr angemeldet",
    "Ihre Sitzung ist beendet, es wurde nichts gespeichert. Melden Sie sich bitte neu an.",
  );
}

export function cookiesNeeded(): Refused {
  return new Refused(
    403,
    "Ohne Cookies ist keine Anmeldung möglich",
    "Ihr Browser hat das Cookie mit dem Sicherheits-Schlüssel nicht zurückgeschickt. Classmind verwendet nur zwei Cookies: den Sitzungs-Schlüssel und den Sicherheits-Schlüssel. Beide dienen allein der Anmeldung. Erlauben Sie Cookies für diese Seite und öffnen Sie die Anmeldung neu.",
  );
}

export function unintelligible(): Refused {
  return new Refused(400, "Unverständliche Anfrage", "Bitte rufen Sie die Startseite auf.", { hangUp: true });
}

export function unavailable(): Refused {
  return new Refused(
    503,
    "Gerade nicht erreichbar",
    "Die Plattform ist für einen Moment nicht verfügbar. Bitte versuchen Sie es in wenigen Sekunden noch einmal.",
    { retryAfter: 5 },
  );
}

/** What is especially sensitive needs a second factor, and this session has shown none. */
export function secondFactorNeeded(): Refused {
  return new Refused(
    403,
    "Bitte bestätigen Sie zuerst Ihren zweiten Faktor",
    "Es wurde nichts geändert. Öffnen Sie in einem neuen Tab „Profil“ und dort „Zweiter Faktor“, bestätigen Sie ihn, und senden Sie das Formular hier noch einmal: Gehen Sie dazu im Browser eine Seite zurück.",
  );
}
