// Joins a picture on the page to a machine's screen.
import { keepJoined, leaveByKey, report } from "./device.js";
import RFB from "/libraries/@novnc/novnc/core/rfb.js";

const place = document.getElementById("display");
leaveByKey(place);
keepJoined(place, (socket) => {
  place.replaceChildren();
  const screen = new RFB(place, socket, { shared: true });
  screen.scaleViewport = true;
  screen.background = "#000";
  screen.addEventListener("connect", () => { report(""); screen.focus(); });
});
