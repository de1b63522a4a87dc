// Small things of every page: keyboard, times that age, problems in words, announcements, copying.

const $ = (selector) => document.querySelector(selector);

// --- Problems: what htmx could not swap is said in a sentence ---------------------------------------

// django-htmx's debug script widens this; refusals (409, 422, 403) must be shown while debugging, too.
htmx.config.noSwap = [204, 304, 404, "5xx"];

function showProblem(words) {
  const place = $("#problems");
  if (!place) return;
  const notice = document.createElement("p");
  notice.className = "notice";
  notice.dataset.level = "error";
  notice.textContent = words;
  place.replaceChildren(notice);
}

const isLiveRefresh = (event) => event.detail.ctx?.sourceEvent?.type === "live";

document.addEventListener("htmx:response:error", (event) => {
  const { status } = event.detail.ctx.response;
  if (!isLiveRefresh(event) && (status === 404 || status >= 500)) showProblem($("#problems").dataset.wordsFailed);
});
document.addEventListener("htmx:error", (event) => {
  if (!isLiveRefresh(event) && event.detail.ctx && !event.detail.ctx.response) {
    showProblem($("#problems").dataset.wordsUnreachable);
  }
});
document.addEventListener("htmx:before:request", (event) => {
  if (!isLiveRefresh(event)) $("#problems")?.replaceChildren();
});

// --- Announcements: an element says in data-announce what a screen reader should hear when it changes --

const announced = new Map();

function announce(silently) {
  for (const element of document.querySelectorAll("[data-announce][id]")) {
    const words = element.dataset.announce;
    if (!silently && announced.get(element.id) !== words) $("#announcements").textContent = words;
    announced.set(element.id, words);
  }
}
announce(true);
document.addEventListener("htmx:after:swap", () => announce(false));

// --- Times: updated by the list of the template tag `when`; beyond a day the server's words stay --------

const RELATIVE_TIMES = JSON.parse($("meta[name=relative-times]").content);

function updateTimes() {
  for (const element of document.querySelectorAll("time[data-relative]")) {
    const seconds = (Date.parse(element.dateTime) - Date.now()) / 1000;
    const step = RELATIVE_TIMES.find(({ below }) => Math.abs(seconds) < below);
    if (!step) continue;
    const words = seconds <= 0 ? step.past : step.future;
    element.textContent = words.replace("{}", Math.max(1, Math.round(Math.abs(seconds) / step.unit)));
  }
}
setInterval(updateTimes, 20_000);

// --- Clicks -----------------------------------------------------------------------------------------

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-dialog], [data-copy], [data-print]");
  if (!button) return;
  if (button.dataset.dialog) {
    button.closest("[popover]")?.hidePopover();
    document.getElementById(button.dataset.dialog).showModal();
  } else if (button.dataset.copy) {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
    $("#announcements").textContent = button.dataset.copied = "Copied";
    setTimeout(() => delete button.dataset.copied, 2000);
  } else {
    window.print();
  }
});

// A filter form sends itself when a choice changes.
document.addEventListener("change", (event) => {
  event.target.closest("form[data-autosubmit]")?.requestSubmit();
});

// --- Keyboard: single keys can be switched off (WCAG 2.1.4) and never fire while typing ----------------

const SWITCH = "deployctl.keyboard";
const keyboardSwitch = $("#keyboard-enabled");
if (keyboardSwitch) {
  keyboardSwitch.checked = localStorage.getItem(SWITCH) !== "off";
  keyboardSwitch.addEventListener("change", () => localStorage.setItem(SWITCH, keyboardSwitch.checked ? "on" : "off"));
}

function moveToItem(step) {
  const items = [...document.querySelectorAll(".item")].filter((item) => item.checkVisibility());
  const here = items.indexOf(document.activeElement?.closest(".item"));
  const next = items[here < 0 ? 0 : Math.min(Math.max(here + step, 0), items.length - 1)];
  if (!next) return;
  next.tabIndex = -1;
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

const keys = {
  "/": () => $("[data-find]")?.focus(),
  j: () => moveToItem(1),
  k: () => moveToItem(-1),
  x: () => document.activeElement?.closest(".item")?.querySelector("[data-tick]")?.click(),
  "?": () => $("#keyboard-help")?.showModal(),
};

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  const busy = typing || event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]");
  if (busy || !keyboardSwitch?.checked || !Object.hasOwn(keys, event.key)) return;
  event.preventDefault();
  keys[event.key]();
});
