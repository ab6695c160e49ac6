// Writes times as ages ("5 min ago") and keeps them true, names each cell's column for narrow
// screens, leads the keyboard to what scrolls, says when the page is not updated any more, and asks
// before a form that says so is sent.
"use strict";

const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

function age(moment) {
  const seconds = Math.max(0, (Date.now() - Date.parse(moment)) / 1000);
  if (Number.isNaN(seconds)) return "";
  const [length, unit] = UNITS.find(([length]) => seconds >= length) ?? [1, "s"];
  return `${Math.floor(seconds / length)} ${unit} ago`;
}

function refresh() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const text = age(time.dateTime);
    if (text && time.textContent !== text) {
      time.textContent = text;
      time.title = time.dateTime;
    }
  }
}

// On a narrow screen each row is a card, where the column's name stands before each cell. What is
// no table by its style any more stays one for screen readers by its roles.
const ROLES = { TABLE: "table", CAPTION: "caption", THEAD: "rowgroup", TBODY: "rowgroup", TR: "row", TD: "cell" };

function nameColumns() {
  for (const table of document.querySelectorAll("table:not(.matrix)")) {
    const columns = [...table.querySelectorAll("thead th")].map((each) => each.textContent);
    for (const row of table.tBodies[0]?.rows ?? []) {
      [...row.cells].forEach((cell, at) => { cell.dataset.column = columns[at] ?? ""; });
    }
    for (const each of [table, ...table.querySelectorAll("caption, thead, tbody, tr, td, th")]) {
      const role = ROLES[each.tagName] ?? (each.scope === "col" ? "columnheader" : "rowheader");
      each.setAttribute("role", role);
    }
    table.classList.add("named");
  }
}

// The heading before a place.
function headingOf(place) {
  const before = (each) => each.compareDocumentPosition(place) & Node.DOCUMENT_POSITION_FOLLOWING;
  return [...document.querySelectorAll("h1, h2, h3")].filter(before).at(-1)?.textContent ?? "";
}

// What is wider than its place is a stop of the key Tab with a name, so that the arrow keys move it.
function nameScrolls() {
  for (const place of document.querySelectorAll(".scroll")) {
    if (place.scrollWidth <= place.clientWidth) {
      for (const name of ["tabindex", "role", "aria-label"]) place.removeAttribute(name);
      continue;
    }
    place.tabIndex = 0;
    place.setAttribute("role", "region");
    place.setAttribute("aria-label", place.querySelector("caption")?.textContent ?? headingOf(place));
  }
}

function complete() {
  refresh();
  nameColumns();
  nameScrolls();
}

function showCutOff(isCutOff) {
  const notice = document.getElementById("cut-off");
  if (notice) notice.hidden = !isCutOff;
}

document.addEventListener("htmx:sseError", () => showCutOff(true));
document.addEventListener("htmx:sseOpen", () => showCutOff(false));
document.addEventListener("DOMContentLoaded", complete);
document.addEventListener("htmx:afterSwap", complete);
document.addEventListener("htmx:sseMessage", complete);
document.addEventListener("DOMContentLoaded", () =>
  document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" }));
window.addEventListener("resize", nameScrolls);
setInterval(refresh, 10000);

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});

// Shows what a job streams: at once, or when its button is pressed. One that goes on and on, each
// line in the place of the one before, stops while nobody sees it.
function run(place, source, waiting) {
  const line = document.createElement("p");
  line.className = "muted";
  line.setAttribute("role", "status");
  line.textContent = waiting;
  place.replaceChildren(line);
  const goesOn = "replaces" in place.dataset && typeof openWhileSeen === "function";
  const stream = goesOn ? openWhileSeen(source) : new EventSource(source);
  stream.addEventListener("line", ({ data }) => {
    // The server has escaped all that comes from the cluster.
    if (!("replaces" in place.dataset)) {
      line.remove();
      place.insertAdjacentHTML("beforeend", data);
    } else if (typeof Idiomorph === "undefined") {
      place.innerHTML = data;
    } else {
      // What is the same as before stays: where it was scrolled to, and the focus.
      Idiomorph.morph(place, data, { morphStyle: "innerHTML" });
    }
    complete();
    place.dispatchEvent(new Event("drawn", { bubbles: true }));
  });
  stream.addEventListener("end", () => { line.remove(); stream.close(); });
  const cut = () => {
    // What is looked at again and again goes on when the connection is back.
    const isAgain = goesOn && stream.readyState !== EventSource.CLOSED;
    line.textContent = isAgain ? "The connection was cut. Connecting again ..." : "The connection has ended: load the page again.";
    place.append(line);
    if (!isAgain) stream.close();
  };
  if (goesOn) stream.onerror = cut;
  else stream.addEventListener("error", cut);
}

document.addEventListener("DOMContentLoaded", () => {
  for (const place of document.querySelectorAll("div[data-job]")) run(place, place.dataset.job, place.dataset.waiting);
});
document.addEventListener("click", ({ target }) => {
  if (target.matches("button[data-job]")) run(target.nextElementSibling, target.dataset.job, target.dataset.waiting);
});
