/** What whoever asks is to know beside the data (Art. 15 (1) and (2) DSGVO). */
export const hinweise: ReadonlyArray<{ readonly titel: string; readonly text: string }> = [
  {
    titel: "Verantwortlich",
    text: "Verantwortlich für die Daten ist die Schule. Classmind verarbeitet sie in ihrem Auftrag.",
  },
  { titel: "Zweck", text: "Wozu jede Angabe gespeichert ist, steht neben ihr." },
  {
    titel: "Empfänger",
    text: "Die Daten werden nicht an Dritte weitergegeben und nicht in Staaten außerhalb der Europäischen Union übermittelt. In der Schule sehen sie die Personen, deren Rolle das erlaubt.",
  },
  {
    titel: "Dauer",
    text: "Angaben zur Person bleiben, bis sie aus der Schule entfernt wird. Was Sie selbst einstellen, bleibt, bis Sie es löschen oder Ihr Konto entfernt wird. Protokolle und Verbindungsdaten werden nach 30 Tagen gelöscht, was der Betreiber von Hand getan hat, nach einem Jahr, verschlüsselte Sicherungen spätestens nach einem Jahr.",
  },
  {
    titel: "Herkunft",
    text: "Die Angaben stammen von Ihnen selbst, von der Schule und von Personen, die Ihnen schreiben, Sie unterrichten oder Leistungen eintragen.",
  },
  {
    titel: "Dateien",
    text: "Von Ihren Dateien stehen Name und Größe hier. Ihren Inhalt laden Sie unter „Dateien“ in einem Schritt herunter.",
  },
  {
    titel: "Was nicht zuzuordnen ist",
    text: "Die Bremse gegen das Erraten von Passwörtern und die Verbindungsdaten (Browser, Betriebssystem, Gerätetyp, IP-Adresse, Stunde) sind so gespeichert, dass niemand sie einer Person zuordnen kann. Sie können deshalb nicht in dieser Auskunft stehen.",
  },
  {
    titel: "Andere Personen",
    text: "Was über andere gespeichert ist, steht hier nicht. Genannt sind nur Personen, mit denen Sie Nachrichten oder Dateien ausgetauscht haben, und Ihre Eltern oder Kinder.",
  },
  { titel: "Automatisierte Entscheidungen", text: "Es gibt keine, und es wird kein Profil gebildet." },
  {
    titel: "Ihre Rechte",
    text: "Sie können verlangen, dass falsche Angaben berichtigt, Angaben gelöscht oder ihre Verarbeitung eingeschränkt wird, und der Verarbeitung widersprechen. Wenden Sie sich dazu an Ihre Schule. Beschweren können Sie sich bei der Datenschutz-Aufsichtsbehörde des Landes, in dem die Schule liegt.",
  },
];
