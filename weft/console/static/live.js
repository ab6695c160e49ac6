// Opens the stream of a page while the page is seen. Browsers have six connections for each host:
// pages in tabs that nobody looks at would keep them from all others.
"use strict";

const HIDDEN = 5000; // milliseconds in another tab after which the stream is closed

// An EventSource that closes while the page is hidden, and opens again. Its URL says what the page
// showed at first, so the server sends what has changed since.
function openWhileSeen(url) {
  const listeners = [];
  let source = null, isClosed = false, timer = 0;
  const outer = {
    readyState: EventSource.CONNECTING,
    onopen: null,
    onerror: null,
    addEventListener(name, listener) {
      listeners.push([name, listener]);
      source?.addEventListener(name, listener);
    },
    removeEventListener(name, listener) {
      const at = listeners.findIndex((each) => each[0] === name && each[1] === listener);
      if (at >= 0) listeners.splice(at, 1);
      source?.removeEventListener(name, listener);
    },
    close() {
      isClosed = true;
      outer.readyState = EventSource.CLOSED;
      document.removeEventListener("visibilitychange", follow);
      hide();
    },
  };
  function show() {
    clearTimeout(timer);
    if (source || isClosed) return;
    source = new EventSource(url);
    for (const [name, listener] of listeners) source.addEventListener(name, listener);
    source.onopen = (event) => {
      outer.readyState = EventSource.OPEN;
      outer.onopen?.(event);
    };
    source.onerror = (event) => {
      outer.readyState = source ? source.readyState : EventSource.CLOSED;
      if (outer.readyState === EventSource.CLOSED) outer.close(); // htmx makes another one
      outer.onerror?.(event);
    };
  }
  function hide() {
    clearTimeout(timer);
    source?.close();
    source = null;
  }
  function follow() {
    clearTimeout(timer);
    if (document.visibilityState === "visible") show();
    else timer = setTimeout(hide, HIDDEN);
  }
  document.addEventListener("visibilitychange", follow);
  follow();
  return outer;
}

htmx.createEventSource = openWhileSeen;
