// Makes pictures larger and smaller: by buttons, by + and -, and by the wheel with Ctrl.
const STEP = 1.25;
const scales = new Map();

function apply(picture) {
  const drawing = picture.querySelector("svg");
  if (!drawing) return;
  const scale = scales.get(picture) ?? 1;
  drawing.style.width = `${drawing.viewBox.baseVal.width * scale}px`;
  drawing.style.height = `${drawing.viewBox.baseVal.height * scale}px`;
}

function zoom(picture, factor) {
  const scale = (scales.get(picture) ?? 1) * factor;
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
  const picture = event.target.closest(".picture");
  const factor = { "+": STEP, "-": 1 / STEP }[event.key];
  if (picture && factor) zoom(picture, factor);
});

document.addEventListener("click", ({ target }) => {
  const factor = Number(target.dataset?.zoom);
  if (factor) document.querySelectorAll(".picture").forEach((picture) => zoom(picture, factor));
});

// The picture that has come is drawn as large as the one before.
document.addEventListener("htmx:sseMessage", () => document.querySelectorAll(".picture").forEach(apply));
