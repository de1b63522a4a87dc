// A run's log: appends lines as they are stored, follows the end, pauses when the reader scrolls up, finds.

const KEEP_LINES = 5_000;
const log = document.querySelector("[data-log-stream]");
if (log) followLog(log);

function followLog(box) {
  const toggle = document.querySelector("[data-log-follow]");
  const find = document.querySelector("[data-log-find]");
  const found = document.querySelector("[data-log-found]");
  let last = Number(box.lastElementChild?.dataset.number ?? 0);
  let following = true;

  function follow(wanted) {
    following = wanted;
    toggle?.setAttribute("aria-pressed", String(wanted));
    if (wanted) box.scrollTop = box.scrollHeight;
  }
  const matches = (line) => line.textContent.toLowerCase().includes(find?.value.trim().toLowerCase() ?? "");

  function append(lines) {
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
    box.append(...fresh);
    while (box.childElementCount > KEEP_LINES) box.firstElementChild.remove();
    if (following) box.scrollTop = box.scrollHeight;
  }

  const stream = new EventSource(`${box.dataset.logStream}?after=${last}`);
  stream.addEventListener("lines", (event) => append(JSON.parse(event.data)));
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
