// Makes pictures larger and smaller: by buttons, by + and -, and by the wheel with Ctrl. At first, and
// after 0, a picture is as wide as the page.
const STEP = 1.25;
const SMALLEST = 0.55; // at which a picture begins: a smaller one cannot be read
const scales = new Map();

function fitting(picture, smallest) {
  const room = picture.clientWidth / picture.querySelector("svg").viewBox.baseVal.width;
  return Math.min(1, Math.max(smallest, room));
}

function apply(picture) {
  const drawing = picture.querySelector("svg");
  if (!drawing) return;
  const scale = scales.get(picture) ?? fitting(picture, SMALLEST);
  drawing.style.width = `${drawing.viewBox.baseVal.width * scale}px`;
  drawing.style.height = `${drawing.viewBox.baseVal.height * scale}px`;
}

// A factor of 0: all of it.
function zoom(picture, factor) {
  if (!picture.querySelector("svg")) return;
  const before = scales.get(picture) ?? fitting(picture, SMALLEST);
  const scale = factor ? before * factor : fitting(picture, 0.1);
  scales.set(picture, Math.min(8, Math.max(0.1, scale)));
  apply(picture);
}

document.addEventListener("wheel", (event) => {
  const picture = event.target.closest(".picture");
  if (!picture || !event.ctrlKey) return;
  event.preventDefault();
  zoom(picture, event.deltaY < 0 ? STEP : 1 / STEP);
}, { passive: false });

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return; // the browser's own
  const picture = event.target.closest(".picture");
  const factor = { "+": STEP, "-": 1 / STEP, "0": 0 }[event.key];
  if (picture && factor !== undefined) zoom(picture, factor);
});

document.addEventListener("click", ({ target }) => {
  const factor = target.dataset?.zoom;
  if (factor) document.querySelectorAll(".picture").forEach((picture) => zoom(picture, Number(factor)));
});

// The picture that has come is drawn as large as the one before.
const applyAll = () => document.querySelectorAll(".picture").forEach(apply);
document.addEventListener("htmx:sseMessage", applyAll);
document.addEventListener("drawn", applyAll);
window.addEventListener("resize", applyAll);
applyAll();
