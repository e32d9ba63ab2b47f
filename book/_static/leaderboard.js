// Sorting and filtering of the leaderboard. The table is whole without this file.
(() => {
  for (const board of document.querySelectorAll(".leaderboard")) {
    const body = board.querySelector("tbody"), rows = [...body.rows];
    const heads = [...board.querySelectorAll("thead th")];
    const selects = [...board.querySelectorAll("select[data-filter]")];
    const find = board.querySelector("[data-find]");
    const boxes = [...board.querySelectorAll("input[data-box]")];

    const show = () => {
      const words = find.value.trim().toLowerCase();
      let count = 0;
      for (const row of rows) {
        const fits = selects.every((s) => !s.value || row.dataset[s.dataset.filter] === s.value);
        const kept = boxes.every((box) => !box.checked || row.dataset[box.dataset.box]);
        row.hidden = !(fits && kept && row.textContent.toLowerCase().includes(words));
        count += !row.hidden;
      }
      board.querySelector("[data-count]").textContent = `${count} of ${rows.length} rows`;
    };

    const sort = (column) => {
      const falling = heads[column].getAttribute("aria-sort") !== "descending";
      for (const head of heads) head.removeAttribute("aria-sort");
      heads[column].setAttribute("aria-sort", falling ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.by;
      const numbers = rows.every((row) => key(row) === "" || !Number.isNaN(Number(key(row))));
      const order = (a, b) => (numbers ? Number(a) - Number(b) : a.localeCompare(b)) * (falling ? -1 : 1);
      const empty = (row) => key(row) === "";
      rows.sort((a, b) => empty(a) - empty(b) || order(key(a), key(b)));
      body.append(...rows); // what is not known stays at the end
    };

    heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => sort(column)));
    for (const control of [...selects, find, ...boxes]) control.addEventListener("input", show);
    const first = selects.find((select) => select.dataset.filter === "data");
    if ([...first.options].some((option) => option.value === "mnist")) first.value = "mnist";
    show();
  }
})();
