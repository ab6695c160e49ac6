// Joins a picture on the page to a machine's screen.
import { joined, report } from "./device.js";
import RFB from "/libraries/@novnc/novnc/core/rfb.js";

const place = document.getElementById("display");
const screen = new RFB(place, joined(place), { shared: true });
screen.scaleViewport = true;
screen.addEventListener("connect", () => { report(place, ""); screen.focus(); });
