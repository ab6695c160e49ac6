// What a terminal and a screen have in common: the socket, which is opened again when it was cut, and
// a line about its state.
const FIRST = 500, LONGEST = 10000; // milliseconds between two attempts
// The browser's side saw no farewell (1006), or the console ends or has lost the guest's side.
const CUT = new Set([1001, 1006, 1012]);

const state = document.getElementById("state");

// Writes the line above the device; an empty one is hidden. `again`: what its button does.
export function report(text, again) {
  state.textContent = text;
  state.hidden = !text;
  if (!again) return;
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Connect again";
  button.addEventListener("click", again);
  state.append(button);
}

// The guest is sent all keys, Tab too: Ctrl-] leads back to the page, as in other consoles.
export function leaveByKey(place) {
  place.addEventListener("keydown", (event) => {
    if (!event.ctrlKey || event.key !== "]") return;
    event.preventDefault();
    event.stopPropagation();
    document.querySelector("main a").focus();
  }, true);
}

// Whether the console lets this browser in no more: it has logged out, or the session has ended. A
// browser says nothing of why a WebSocket was refused.
async function isShutOut() {
  try {
    const answer = await fetch(location.href, { method: "HEAD", redirect: "manual" });
    return answer.type === "opaqueredirect" || answer.status === 401;
  } catch {
    return false; // it is the way that was cut
  }
}

// Gives each new WebSocket to the device that the place names to `use`.
export function keepJoined(place, use) {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  let pause = FIRST;
  function join() {
    const socket = new WebSocket(`${scheme}//${location.host}${place.dataset.socket}`);
    let opened = Infinity;
    socket.addEventListener("open", () => { opened = Date.now(); });
    socket.addEventListener("close", async ({ code, reason }) => {
      if (CUT.has(code) && opened === Infinity && await isShutOut()) {
        report("The session has ended. Load the page again.");
      } else if (CUT.has(code)) {
        // The console opens it before it has reached the guest: that alone is no success.
        if (Date.now() - opened > LONGEST) pause = FIRST;
        report("The connection was cut. Connecting again ...");
        setTimeout(join, pause);
        pause = Math.min(2 * pause, LONGEST);
      } else {
        report(`${reason || "The connection has ended"}.`, () => { report("Connecting ..."); join(); });
      }
    });
    use(socket);
  }
  report("Connecting ...");
  join();
}
