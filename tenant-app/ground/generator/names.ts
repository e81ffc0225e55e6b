/** Given names as they stand in German classrooms: umlauts, hyphens, blanks, apostrophes, other scripts. Belong to nobody. */
export const givenNames: readonly string[] = [
  ..."Anna Ben Clara David Emma Finn Greta Hannes Ida Jonas Klara Leon Mia Noah Olivia Paul Romy Samuel Thea Vincent".split(
    " ",
  ),
  ..."Ayşe Emre Zeynep Yiğit Gülcan Ömer Elif Kerem Şeyma Çağla".split(" "),
  ..."Zofia Łukasz Małgorzata Kacper Agnieszka Paweł Weronika Michał".split(" "),
  ..."Amina Yusuf Layla Omar Fatima Hassan Nour Karim Samira Bilal".split(" "),
  ..."Oleksandra Dmytro Anastasiia Bohdan Yevheniia Taras".split(" "),
  ..."Jürgen Änne Özlem Björn Søren Zoë Chloé José François Håkon Renée Noël".split(" "),
  ..."Linh Minh Thị Đức Hương Quân Mei Xin Haruto Sakura Priya Arjun".split(" "),
  "Anna-Lena",
  "Karl-Heinz",
  "Marie Luise",
  "Jean-Baptiste",
  "D'Angelo",
  "Mohammed Ali",
  "Ольга",
  "Дмитро",
  "芳",
  "アキラ",
  "أمينة",
  "Θεόδωρος",
];

/** Family names likewise. */
export const familyNames: readonly string[] = [
  ..."Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Schäfer Koch Bauer Richter Klein Wolf".split(
    " ",
  ),
  ..."Schröder Neumann Schwarz Zimmermann Braun Krüger Hofmann Hartmann Lange Schmitt Werner Krause Meier Lehmann Groß".split(
    " ",
  ),
  ..."Yılmaz Kaya Demir Şahin Çelik Yıldız Öztürk Aydın".split(" "),
  ..."Kowalski Wiśniewska Wójcik Kamiński Zieliński Dąbrowski".split(" "),
  ..."Al-Hassan El-Sayed Haddad Khalil Rahmani Nasser".split(" "),
  ..."Nguyễn Trần Phạm Lê Chen Wang Tanaka Patel Singh".split(" "),
  ..."O'Connor MacLeod García Fernández D'Agostino Łęski Þórsson Ångström".split(" "),
  "von der Heide",
  "van den Berg",
  "Freiherr von und zu Guttenau",
  "Müller-Lüdenscheidt",
  "dos Santos Oliveira",
  "Петренко",
  "Кузнєцова",
  "王",
  "山田",
  "الحسن",
  "Παπαδόπουλος",
];
