// What makes two pages easier for whoever has scripts; both do all of it without. Plain, for browsers of the last five years.

/** A form with files: how far it is, and a way to stop it. */
for (const form of document.querySelectorAll("form[data-fortschritt]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const box = document.createElement("div");
    const words = document.createElement("p");
    const bar = document.createElement("progress");
    const stop = document.createElement("button");
    bar.max = 1;
    bar.className = "fortschritt";
    bar.setAttribute("aria-label", "Fortschritt");
    words.setAttribute("role", "status");
    stop.type = "button";
    stop.className = "knopf knopf-leise";
    stop.textContent = "Abbrechen";
    box.append(words, bar, stop);
    const send = form.querySelector("button[type=submit]");
    const request = new XMLHttpRequest();
    const end = (text) => {
      send.disabled = false;
      bar.remove();
      stop.remove();
      words.textContent = text;
    };
    let said = -1;
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      bar.value = total > 0 ? loaded / total : 0;
      // A screen reader hears every tenth, not every packet.
      const tenth = Math.floor(bar.value * 10);
      if (tenth === said) return;
      said = tenth;
      words.textContent =
        loaded < total ? `${tenth * 10} % hochgeladen` : "Hochgeladen, wird verschlüsselt gespeichert …";
    });
    request.addEventListener("load", () => {
      // As without scripts: to where the answer leads, or the answer itself, which says what is to be mended.
      if (
        new URL(request.responseURL).pathname + new URL(request.responseURL).search !==
        new URL(form.action).pathname
      ) {
        location.assign(request.responseURL);
        return;
      }
      document.open();
      document.write(request.responseText);
      document.close();
    });
    request.addEventListener("error", () =>
      end("Die Verbindung ist abgebrochen. Bitte laden Sie die Datei noch einmal hoch."),
    );
    request.addEventListener("abort", () => end("Abgebrochen. Es wurde nichts gespeichert."));
    stop.addEventListener("click", () => request.abort());
    const data = new FormData(form);
    for (const old of form.querySelectorAll("[data-stand]")) old.remove();
    box.dataset.stand = "";
    form.append(box);
    words.textContent = "Wird hochgeladen …";
    send.disabled = true;
    request.open("POST", form.action);
    request.send(data);
  });
}

/** A table of fields, as in a spreadsheet: arrows and Enter go from cell to cell, what was copied from one is pasted into many. */
for (const table of document.querySelectorAll("table[data-tabelle]")) {
  const rows = [...table.tBodies[0].rows].map((row) => [...row.querySelectorAll("input:not([type=hidden])")]);
  const at = (field) => {
    const row = rows.findIndex((fields) => fields.includes(field));
    return [row, row < 0 ? -1 : rows[row].indexOf(field)];
  };
  const go = (row, column) => {
    const field = rows[row]?.[column];
    if (!field) return false;
    field.focus();
    field.select();
    return true;
  };
  table.addEventListener("keydown", (event) => {
    const [row, column] = at(event.target);
    if (row < 0 || event.altKey || event.metaKey || event.isComposing) return;
    const { selectionStart: from, selectionEnd: to, value } = event.target;
    const whole = from === 0 && to === value.length;
    const moves = {
      ArrowUp: () => go(row - 1, column),
      ArrowDown: () => go(row + 1, column),
      ArrowLeft: () => (whole || (from === 0 && to === 0)) && go(row, column - 1),
      ArrowRight: () => (whole || (from === value.length && to === value.length)) && go(row, column + 1),
      // Strg and Enter send the form, as Enter does without scripts.
      Enter: () => {
        if (event.ctrlKey) event.target.form.requestSubmit();
        else go(row + (event.shiftKey ? -1 : 1), column);
        return true;
      },
    };
    if ((event.ctrlKey || event.shiftKey) && event.key !== "Enter") return;
    if (moves[event.key]?.()) event.preventDefault();
  });
  table.addEventListener("paste", (event) => {
    const [row, column] = at(event.target);
    const text = event.clipboardData?.getData("text/plain").replace(/\r?\n$/, "") ?? "";
    if (row < 0 || !/[\t\n]/.test(text)) return;
    event.preventDefault();
    text.split(/\r?\n/).forEach((line, down) => {
      line.split("\t").forEach((cell, right) => {
        const field = rows[row + down]?.[column + right];
        if (field) field.value = cell.trim().slice(0, field.maxLength > 0 ? field.maxLength : undefined);
      });
    });
    event.target.dispatchEvent(new Event("input", { bubbles: true }));
  });
  // Whoever leaves with marks that are not saved is asked.
  let changed = false;
  table.addEventListener("input", () => {
    changed = true;
  });
  table.closest("form").addEventListener("submit", () => {
    changed = false;
  });
  addEventListener("beforeunload", (event) => {
    if (changed) event.preventDefault();
  });
}
