// Scripts for every page: error messages, announcements, relative times, copying, keyboard shortcuts.

const $ = (selector) => document.querySelector(selector);

// --- Errors: show a message for responses that htmx does not swap ------------------------------------

// django-htmx's debug script changes this, but 403, 409 and 422 must be shown while debugging as well.
htmx.config.noSwap = [204, 304, 404, "5xx"];

function showProblem(message) {
  const container = $("#problems");
  if (!container) return;
  const notice = document.createElement("p");
  notice.className = "notice";
  notice.dataset.level = "error";
  notice.textContent = message;
  container.replaceChildren(notice);
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

// --- Announcements: screen readers read an element's data-announce when it changes --------------------

const announced = new Map();

function announce(silently) {
  for (const element of document.querySelectorAll("[data-announce][id]")) {
    const text = element.dataset.announce;
    if (!silently && announced.get(element.id) !== text) $("#announcements").textContent = text;
    announced.set(element.id, text);
  }
}
announce(true);
document.addEventListener("htmx:after:swap", () => announce(false));

// --- Relative times: update times of less than a day, as the template tag `when` renders them -----------

const RELATIVE_TIMES = JSON.parse($("meta[name=relative-times]").content);

function updateTimes() {
  for (const element of document.querySelectorAll("time[data-relative]")) {
    const seconds = (Date.parse(element.dateTime) - Date.now()) / 1000;
    const step = RELATIVE_TIMES.find(({ below }) => Math.abs(seconds) < below);
    if (!step) continue;
    const text = seconds <= 0 ? step.past : step.future;
    element.textContent = text.replace("{}", Math.max(1, Math.round(Math.abs(seconds) / step.unit)));
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

// Submit a filter form when a choice changes.
document.addEventListener("change", (event) => {
  event.target.closest("form[data-autosubmit]")?.requestSubmit();
});

// --- Keyboard shortcuts: can be switched off (WCAG 2.1.4) and are ignored while typing -----------------

const SWITCH = "deployctl.keyboard";
const keyboardSwitch = $("#keyboard-enabled");
if (keyboardSwitch) {
  keyboardSwitch.checked = localStorage.getItem(SWITCH) !== "off";
  keyboardSwitch.addEventListener("change", () => localStorage.setItem(SWITCH, keyboardSwitch.checked ? "on" : "off"));
}

function moveToItem(step) {
  const items = [...document.querySelectorAll(".item")].filter((item) => item.checkVisibility());
  const current = items.indexOf(document.activeElement?.closest(".item"));
  const next = items[current < 0 ? 0 : Math.min(Math.max(current + step, 0), items.length - 1)];
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
  const ignored = typing || event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]");
  if (ignored || !keyboardSwitch?.checked || !Object.hasOwn(keys, event.key)) return;
  event.preventDefault();
  keys[event.key]();
});
