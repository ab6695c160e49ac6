"""What a page is held to: it fits each width, the keyboard suffices, and all has a name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

from playwright.sync_api import Page

WIDTHS = (390, 768, 2560, 1280)
GROUNDS: Mapping[Literal["dark", "light"], str] = {
    "dark": "rgb(20, 24, 29)",
    "light": "rgb(255, 255, 255)",
}
# An input that has no name, is too far to the right, and is the first stop of the key Tab; and a
# heading that is grey on grey.
SPOILT = """() => {
    const input = document.createElement("input");
    Object.assign(input.style, {position: "absolute", left: "3000px"});
    input.tabIndex = 1;
    document.querySelector("main").append(input);
    Object.assign(document.querySelector("h1").style, {color: "#999", background: "#aaa"});
}"""

# Things that are read or used, and do not lie in what scrolls by itself.
_LAYOUT = """() => {
  const found = [], root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) found.push(`is ${root.scrollWidth} wide`);
  const shown = [...document.querySelectorAll(
    'h1, h2, h3, p, label, input:not([type=hidden]), select, textarea, button, a.button, a.brand,'
    + ' header nav, .who > span, .tile a, .device, .picture, .scroll, dt, dd')]
    .filter((each) => each.checkVisibility() && getComputedStyle(each).clipPath === 'none'
      && !each.closest('.scroll *, .picture *, .device *, .skip'));
  const text = (each) => (each.textContent || each.name || '').trim().slice(0, 30);
  const name = (each) => `${each.tagName} ${text(each)}`;
  const boxes = shown.map((each) => [each, each.getBoundingClientRect()]);
  for (const [each, box] of boxes)
    if (box.right > root.clientWidth + 1) found.push(`${name(each)} ends at ${box.right}`);
  boxes.forEach(([one, a], at) => {
    for (const [other, b] of boxes.slice(at + 1)) {
      if (one.contains(other) || other.contains(one)) continue;
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (wide > 1 && high > 1) found.push(`${name(one)} is under ${name(other)}`);
    }
  });
  return found;
}"""

# What a screen reader says of each thing, and how it finds its way.
_NAMES = """() => {
  const found = [], all = (what) => [...document.querySelectorAll(what)];
  const text = (each) => (each.getAttribute('aria-label') || each.textContent || '').trim();
  const tell = (what, each) => found.push(`${what}: ${each.outerHTML.slice(0, 120)}`);
  for (const each of all('input:not([type=hidden]), select, textarea, meter'))
    if (!each.labels?.length && !each.getAttribute('aria-label')) tell('no label', each);
  for (const each of all('a, button')) if (!text(each)) tell('no text', each);
  for (const each of all('label')) if (!each.control) tell('of nothing', each);
  for (const each of all('th')) if (!each.scope) tell('no scope', each);
  for (const each of all('section, [role=region]'))
    if (!text({getAttribute: () => each.getAttribute('aria-label'),
        textContent: document.getElementById(each.getAttribute('aria-labelledby'))?.textContent}))
      tell('no name', each);
  for (const each of all('img')) if (!each.alt) tell('no alt', each);
  for (const each of all('[id]'))
    if (all(`[id="${CSS.escape(each.id)}"]`).length > 1) tell('id twice', each);
  for (const [what, many] of [['main', 1], ['h1', 1]])
    if (all(what).length !== many) found.push(`${all(what).length} of ${what}`);
  const levels = all('h1, h2, h3, h4').map((each) => Number(each.tagName[1]));
  if (levels.some((level, at) => at && level > levels[at - 1] + 1)) found.push('a gap of levels');
  if (!document.documentElement.lang || !document.title) found.push('no language or title');
  if (all('header').length && !all('nav[aria-label]').length) found.push('no navigation');
  return found;
}"""

_STOPS = """[...document.querySelector(within).querySelectorAll(
    'a[href], input:not([type=hidden]), select, textarea, button, [tabindex="0"]')]
    .filter((each) => each.checkVisibility())"""
# Notes where the focus goes: the place among those that can have it, and whether that is seen.
_FOLLOW = f"""(within) => {{
  globalThis.went = [];
  document.addEventListener('focusin', ({{target: each}}) => {{
    const style = getComputedStyle(each), box = each.getBoundingClientRect();
    const seen = style.outlineStyle !== 'none' && box.bottom > 0 && box.right > 0
      && box.top < innerHeight && box.left < innerWidth;
    globalThis.went.push([{_STOPS}.indexOf(each), seen, each.outerHTML.slice(0, 120)]);
  }});
  return {_STOPS}.length;
}}"""


# Texts whose colour is too near to what they stand on (WCAG 2.2, 1.4.3: 4.5 for small ones), with
# their contrast. A picture's own texts stand on its paper; a device's are the guest's.
_FAINT = """() => {
  const channels = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((each) => each / 255)
    .map((each) => each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
    .reduce((sum, each, at) => sum + each * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (each) => {
    for (let at = each; at; at = at.parentElement) {
      const found = channels(getComputedStyle(at).backgroundColor);
      if (found.length === 3 || found[3] === 1) return found;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const each of document.querySelectorAll('body *')) {
    const own = [...each.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
    const unseen = '.device, style, script, datalist, title, desc';
    if (!own || !each.checkVisibility() || each.closest(unseen)) continue;
    const style = getComputedStyle(each), picture = each.closest('svg');
    const box = picture && (each.closest('.box') ?? picture).querySelector('rect');
    const colours = picture
      ? [channels(style.fill), channels(getComputedStyle(box).fill)]
      : [channels(style.color), ground(each)];
    const [low, high] = colours.map(light).sort((a, b) => a - b);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < 4.5) found.push(`${contrast.toFixed(2)}: ${each.outerHTML.slice(0, 120)}`);
  }
  return found;
}"""


def faint_in_each_scheme(page: Page) -> list[str]:
    """What cannot be read well in light or in dark; the page is light afterwards."""
    found = []
    for scheme, ground in GROUNDS.items():
        page.emulate_media(color_scheme=scheme)
        is_ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        if is_ground != ground:
            found.append(f"{scheme}: the page is {is_ground}")
        found += [f"{scheme}: {each}" for each in page.evaluate(_FAINT)]
    page.emulate_media(color_scheme="light")
    return found


def roles(page: Page) -> Counter[str]:
    """How many of each role a screen reader is given."""
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    session.detach()
    return Counter(each["role"]["value"] for each in nodes if not each["ignored"])


def fits(page: Page) -> list[str]:
    """What is too wide or overlaps, at each width. The page is as wide as before afterwards."""
    before, found = page.viewport_size, []
    assert before
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": before["height"]})
        found += [f"{width}: {each}" for each in page.evaluate(_LAYOUT)]
    page.set_viewport_size(before)
    return found


def unnamed(page: Page) -> list[str]:
    """What has no name for a screen reader."""
    found: list[str] = page.evaluate(_NAMES)
    return found


def unreached(page: Page, within: str) -> list[str]:
    """What the key Tab does not lead to in the order of the page, or without a sign of it. It
    begins where the focus is."""
    stops = page.evaluate(_FOLLOW, within)
    for _ in range(stops):
        page.keyboard.press("Tab")
    went = page.evaluate("() => globalThis.went")
    found = [] if len(went) == stops else [f"{len(went)} of {stops} are reached"]
    for place, (at, is_seen, what) in enumerate(went):
        if at != place or not is_seen:
            found.append(f"{place}: at {at}, {'seen' if is_seen else 'not seen'}: {what}")
    return found
