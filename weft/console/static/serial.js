// Joins a terminal on the page to a machine's serial console.
import { keepJoined, leaveByKey, report } from "./device.js";
import "/libraries/@xterm/xterm/xterm.js";
import "/libraries/@xterm/addon-fit/addon-fit.js";

const place = document.getElementById("terminal");
const terminal = new globalThis.Terminal({ scrollback: 5000 });
const fit = new globalThis.FitAddon.FitAddon();
terminal.loadAddon(fit);
terminal.open(place);
fit.fit();
new ResizeObserver(() => fit.fit()).observe(place);

leaveByKey(place);
let socket;
const bytes = new TextEncoder();
terminal.onData((text) => socket.readyState === WebSocket.OPEN && socket.send(bytes.encode(text)));
keepJoined(place, (joined) => {
  socket = joined;
  socket.binaryType = "arraybuffer";
  socket.addEventListener("open", () => { report(""); terminal.focus(); });
  socket.addEventListener("message", ({ data }) => terminal.write(new Uint8Array(data)));
});
