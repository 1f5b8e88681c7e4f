// Opens the execution of a cell, and moves between cells. Executions are in the page as a table of
// distinct values; an entry has only numbers of entries before it.
(() => {
  const { forms, entries, wanted } = JSON.parse(document.getElementById("runs").textContent);
  let made;
  const unpack = () => {
    made = [];
    for (const entry of entries) {
      if (!Array.isArray(entry)) { made.push(entry); continue; }
      const [form, ...numbers] = entry;
      const values = numbers.map((number) => made[number]);
      made.push(form === 0 ? values
        : Object.fromEntries(forms[form - 1].map((key, at) => [key, values[at]])));
    }
  };

  const dialog = document.getElementById("run"), content = document.getElementById("content");
  let ended = new AbortController();
  const open = (button) => {
    if (!made) unpack();
    const { lines, report } = made[wanted[Number(button.dataset.run)]];
    document.getElementById("which").textContent = button.dataset.cell.replace("/", " under ");
    content.innerHTML = lines.join("");
    dialog.showModal();
    dialog.scrollTop = 0;
    ended = new AbortController();
    picture(report, dialog, ended.signal);
    history.replaceState(null, "", `#${encodeURIComponent(button.dataset.cell)}`);
  };
  dialog.addEventListener("close", () => {
    ended.abort();
    content.replaceChildren();
    history.replaceState(null, "", location.href.split("#")[0]);
  });
  document.getElementById("close").addEventListener("click", () => dialog.close());

  const grid = document.getElementById("grid");
  const buttons = [...grid.querySelectorAll("button[data-run]")];
  grid.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-run]");
    if (button) open(button);
  });

  // Arrows go to any cell: to its button, or to the cell itself.
  const rows = [...grid.tBodies[0].rows];
  const seat = (cell) => cell.querySelector("button") ?? cell;
  for (const row of rows) {
    for (const cell of row.cells) if (seat(cell) === cell) cell.tabIndex = -1;
  }
  const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  grid.addEventListener("keydown", (event) => {
    const cell = event.target.closest("td, th");
    if (!(event.key in moves) || !cell || event.ctrlKey || event.altKey || event.metaKey) return;
    const [down, right] = moves[event.key];
    const next = rows[rows.indexOf(cell.parentNode) + down]?.cells[cell.cellIndex + right];
    event.preventDefault();
    if (!next) return;
    seat(next).focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest", inline: "nearest" });
    // What sticks at the left and at the top must not hide it.
    const box = grid.parentNode, frame = box.getBoundingClientRect(), at = next.getBoundingClientRect();
    const head = rows[0].cells[0].offsetWidth, top = grid.tHead.offsetHeight;
    if (next.cellIndex > 0) box.scrollLeft -= Math.max(0, frame.left + head - at.left + 4);
    box.scrollTop -= Math.max(0, frame.top + top - at.top + 4);
  });
  document.getElementById("keys").hidden = false;
  const linked = decodeURIComponent(location.hash.slice(1));
  const button = linked && buttons.find((one) => one.dataset.cell === linked);
  if (button) open(button);
})();
