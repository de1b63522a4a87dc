// The log of a run: append new lines, follow the end until the reader scrolls up, and find text.

const KEEP_LINES = 5_000;
// Lines that are shown at once. Nobody can read more; the page of the whole log has the earlier ones.
const DRAW_LINES = 1_000;
// Drawing takes at most a third of the time, so the page stays responsive during a flood of lines.
const DRAW_EVERY_MS = 100;
const REST_PER_WORK = 2;
const log = document.querySelector("[data-log-stream]");
if (log) followLog(log);

function followLog(box) {
  const toggle = document.querySelector("[data-log-follow]");
  const find = document.querySelector("[data-log-find]");
  const found = document.querySelector("[data-log-found]");
  let last = Number(box.lastElementChild?.dataset.number ?? 0);
  let following = true;
  let pending = [];
  let rest = DRAW_EVERY_MS;

  function follow(enabled) {
    following = enabled;
    toggle?.setAttribute("aria-pressed", String(enabled));
    if (enabled) box.scrollTop = box.scrollHeight;
  }
  const matches = (line) => line.textContent.toLowerCase().includes(find?.value.trim().toLowerCase() ?? "");

  function take(lines) {
    if (!pending.length) setTimeout(draw, rest);
    pending = [...pending, ...lines].slice(-DRAW_LINES);
  }

  function draw() {
    const start = performance.now();
    append(pending);
    pending = [];
    if (following) box.scrollTop = box.scrollHeight;
    rest = Math.max(DRAW_EVERY_MS, REST_PER_WORK * (performance.now() - start));
  }

  function append(lines) {
    if (lines[0].number > last + 1) box.replaceChildren(); // don't show lines on both sides of a gap
    const fresh = lines.filter((line) => line.number > last).map(({ number, level, text }) => {
      const row = document.createElement("span");
      row.className = "log__line";
      row.dataset.level = level;
      row.dataset.number = number;
      row.textContent = text;
      row.hidden = !matches(row);
      return row;
    });
    last = lines.at(-1)?.number ?? last;
    const excess = box.childElementCount + fresh.length - KEEP_LINES;
    for (const row of [...box.children].slice(0, Math.max(excess, 0))) row.remove();
    box.append(...fresh);
  }

  const stream = new EventSource(`${box.dataset.logStream}?after=${last}`);
  stream.addEventListener("lines", (event) => take(JSON.parse(event.data)));
  stream.addEventListener("end", () => stream.close());

  toggle?.addEventListener("click", () => follow(!following));
  box.addEventListener("scroll", () => {
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
    if (atEnd !== following) follow(atEnd);
  });
  find?.addEventListener("input", () => {
    const rows = [...box.children];
    for (const row of rows) row.hidden = !matches(row);
    if (found) found.textContent = find.value ? `${rows.filter((row) => !row.hidden).length} lines` : "";
  });
  follow(true);
}
