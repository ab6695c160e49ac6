// What a terminal and a screen have in common: the socket, and a line about its state.

// Writes a line below the device; an empty one is hidden.
export function report(place, text) {
  let line = place.nextElementSibling;
  if (!line?.classList.contains("notice")) {
    line = document.createElement("p");
    line.className = "notice";
    line.setAttribute("role", "status");
    place.after(line);
  }
  line.textContent = text;
  line.hidden = !text;
}

// The WebSocket to the device that the place names; its end is reported with its reason.
export function joined(place) {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(`${scheme}//${location.host}${place.dataset.socket}`);
  report(place, "Connecting ...");
  socket.addEventListener("close", ({ reason }) =>
    report(place, `${reason || "The connection has ended"}. Load the page again to connect.`));
  return socket;
}
