// Live pages: one event stream per page says which fragments changed; htmx fetches and morphs exactly those.

const POLL_EVERY_MS = 5_000;
const OPENS_WITHIN_MS = 8_000;
const RETRY_AFTER_MS = 3_000;
const FEW = 12;
const LIVE = '[hx-get][hx-trigger~="live"]';

const { liveChannels = "", liveSince = "" } = document.body.dataset;
const channels = liveChannels.trim().split(/\s+/).filter(Boolean);
const indicator = document.getElementById("connection");
let polling = null;
let openedBefore = false;

// An event that bubbled would refresh every live element around this one as well.
const refresh = (element) => htmx.trigger(element, "live", {}, false);

/** Refresh these elements; those within another of them come along with it. */
function refreshOutermost(elements) {
  for (const element of elements) {
    if (!elements.some((other) => other !== element && other.contains(element))) refresh(element);
  }
}

/** What an element says, apart from what ages by itself and what only this person has open. */
function words(element) {
  const copy = element.cloneNode(true);
  for (const part of copy.querySelectorAll("time, .late, .item__panel")) part.remove();
  return `${element.dataset.status} ${copy.textContent.replace(/\s+/g, " ").trim()}`;
}

/** Refresh whatever changed unheard. A checklist has 180 live elements: the page is asked for once, and they compared. */
async function refreshAll() {
  const elements = [...document.querySelectorAll(LIVE)];
  if (elements.length <= FEW) return refreshOutermost(elements);
  const answer = await fetch(location.href, { headers: { "X-Live": "refresh" } }).catch(() => null);
  if (!answer) return; // no line; asked again soon
  if (!answer.ok || answer.redirected) return refresh(elements[0]); // whose answer leads to signing in
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const now = (element) => page.getElementById(element.id);
  refreshOutermost(elements.filter((element) => !now(element) || words(now(element)) !== words(element)));
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

  // A proxy that holds the stream back looks like a server that never answers: ask instead.
  const patience = setTimeout(() => {
    show("polling");
    poll();
  }, OPENS_WITHIN_MS);

  stream.addEventListener("open", () => {
    clearTimeout(patience);
    clearInterval(polling);
    polling = null;
    show("live");
    if (openedBefore) refreshAll(); // what changed while the line was down
    openedBefore = true;
  });
  stream.addEventListener("changed", changed);
  stream.addEventListener("resync", refreshAll);
  stream.addEventListener("error", () => {
    clearTimeout(patience);
    show("lost");
    poll();
    // Browsers reconnect by themselves unless the server answered with something other than a stream.
    if (stream.readyState === EventSource.CLOSED) setTimeout(connect, RETRY_AFTER_MS);
  });
}

if (channels.length) {
  connect();
  // A page that comes back from the browser's cache missed what happened meanwhile.
  window.addEventListener("pageshow", (event) => event.persisted && refreshAll());
}
