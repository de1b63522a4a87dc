// Live updates: each page has one event stream with the ids of changed fragments, which htmx then fetches.

const POLL_EVERY_MS = 5_000;
const OPEN_TIMEOUT_MS = 8_000;
const RETRY_AFTER_MS = 3_000;
const MAX_SINGLE_REFRESHES = 12;
const LIVE = '[hx-get][hx-trigger~="live"]';

const { liveChannels = "", liveSince = "" } = document.body.dataset;
const channels = liveChannels.trim().split(/\s+/).filter(Boolean);
const indicator = document.getElementById("connection");
let polling = null;
let openedBefore = false;

// The event must not bubble, because that would also refresh every live element around this one.
const refresh = (element) => htmx.trigger(element, "live", {}, false);

/** Refresh elements, except those inside another element that is refreshed. */
function refreshOutermost(elements) {
  for (const element of elements) {
    if (!elements.some((other) => other !== element && other.contains(element))) refresh(element);
  }
}

/** Return the text of an element without relative times and panels that only this user has open. */
function stableText(element) {
  const copy = element.cloneNode(true);
  for (const part of copy.querySelectorAll("time, .late, .item__panel")) part.remove();
  return `${element.dataset.status} ${copy.textContent.replace(/\s+/g, " ").trim()}`;
}

/** Refresh the elements that have changed. A checklist has 180 of them, so the whole page is fetched once to compare. */
async function refreshAll() {
  const elements = [...document.querySelectorAll(LIVE)];
  if (elements.length <= MAX_SINGLE_REFRESHES) return refreshOutermost(elements);
  const response = await fetch(location.href, { headers: { "X-Live": "refresh" } }).catch(() => null);
  if (!response) return; // offline; the next poll tries again
  if (!response.ok || response.redirected) return refresh(elements[0]); // its response leads to the sign-in page
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const current = (element) => page.getElementById(element.id);
  const hasChanged = (element) => !current(element) || stableText(current(element)) !== stableText(element);
  refreshOutermost(elements.filter(hasChanged));
}

function changed(event) {
  const named = JSON.parse(event.data).fragments.map((id) => document.getElementById(id));
  refreshOutermost(named.filter((element) => element?.matches(LIVE)));
}

function show(state) {
  if (!indicator || indicator.dataset.state === state) return;
  indicator.hidden = false;
  indicator.dataset.state = state;
  indicator.textContent = indicator.dataset[`words${state[0].toUpperCase()}${state.slice(1)}`];
}

function poll() {
  polling ??= setInterval(() => document.hidden || refreshAll(), POLL_EVERY_MS);
}

function connect() {
  const query = new URLSearchParams(channels.map((channel) => ["channel", channel]));
  query.set("since", liveSince);
  const stream = new EventSource(`/live/?${query}`);

  // Poll if a proxy buffers the stream, which looks like a server that does not respond.
  const openTimeout = setTimeout(() => {
    show("polling");
    poll();
  }, OPEN_TIMEOUT_MS);

  stream.addEventListener("open", () => {
    clearTimeout(openTimeout);
    clearInterval(polling);
    polling = null;
    show("live");
    if (openedBefore) refreshAll(); // changes while the connection was lost
    openedBefore = true;
  });
  stream.addEventListener("changed", changed);
  stream.addEventListener("resync", refreshAll);
  stream.addEventListener("error", () => {
    clearTimeout(openTimeout);
    show("lost");
    poll();
    // Browsers reconnect on their own, unless the response was not an event stream.
    if (stream.readyState === EventSource.CLOSED) setTimeout(connect, RETRY_AFTER_MS);
  });
}

if (channels.length) {
  connect();
  // A page that is restored from the browser's cache has missed changes.
  window.addEventListener("pageshow", (event) => event.persisted && refreshAll());
}
