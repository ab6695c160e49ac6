// Writes times as ages ("5 min ago") and keeps them true, says when the page is not updated any
// more, and asks before a form that says so is sent.
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

function showCutOff(isCutOff) {
  const notice = document.getElementById("cut-off");
  if (notice) notice.hidden = !isCutOff;
}

document.addEventListener("htmx:sseError", () => showCutOff(true));
document.addEventListener("htmx:sseOpen", () => showCutOff(false));
document.addEventListener("DOMContentLoaded", refresh);
document.addEventListener("htmx:afterSwap", refresh);
document.addEventListener("htmx:sseMessage", refresh);
setInterval(refresh, 10000);

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});
