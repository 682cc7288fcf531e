"use strict";
// The tables to search. Every cell is written as text: nothing of a sample is ever read as HTML.
(() => {
  const STEP = window.matchMedia("(max-width: 40rem)").matches ? 8 : 25;
  const element = (name, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };
  const percent = (share) => (100 * share).toFixed(0) + " %";
  const minus = (text) => text.replace("-", "−");

  // What a cell is sorted by, searched by and shown as, by the kind of its column.
  const KINDS = {
    text: { by: (value) => value.toLowerCase(), as: (value) => value },
    word: { by: (value) => value.toLowerCase(), as: (value) => value },
    number: { by: (value) => value, as: (value) => minus(String(value)) },
    share: { by: (value) => value, as: (value) => value.toFixed(1) + " %" },
    class: {
      by: (value, labels) => (value[1] === null ? labels[value[0]].toLowerCase() : value[1]),
      as: (value, labels) => labels[value[0]] + (value[1] === null ? "" : " " + percent(value[1])),
    },
    seeds: { by: (value) => Math.max(...value) - Math.min(...value), as: (value) => minus(value.join(" ")) },
    votes: { by: (value) => value[1], as: (value, labels) => labels[value[0]] + " " + value[1] + " of " + value[2] },
  };

  const bars = (values, scale) => {
    const drawn = values.map((value) => {
      const bar = element("i", { className: value < 0 ? "down" : "" });
      bar.style.height = Math.max(1, Math.min(12, (12 * Math.abs(value)) / scale)) + "px";
      return bar;
    });
    return element("span", { className: "bars", role: "img" }, ...drawn);
  };

  for (const place of document.querySelectorAll(".search")) {
    const { columns, labels, rows } = JSON.parse(document.getElementById(place.dataset.table).textContent);
    const kinds = columns.map((column) => KINDS[column.kind]);
    const shown = (row, index) => (row[index] === null ? "–" : kinds[index].as(row[index], labels));
    const words = rows.map((row) => columns.map((_, index) => shown(row, index)).join("\n").toLowerCase());
    const reason = columns.findIndex((column) => column.title === "shown for");
    const seeds = columns.findIndex((column) => column.kind === "seeds");
    // The full height of a bar: all but the largest twentieth are drawn to scale.
    const sizes = seeds < 0 ? [1] : rows.flatMap((row) => row[seeds].map(Math.abs)).sort((a, b) => a - b);
    const scale = sizes[Math.floor(0.95 * (sizes.length - 1))] || 1;
    const state = { words: "", reason: "", column: -1, down: false, count: STEP };

    const field = (title, input) => {
      input.setAttribute("aria-label", title);
      return element("label", {}, title, input);
    };
    const search = element("input", { type: "search", autocomplete: "off" });
    const choice = element("select", {}, element("option", { value: "", textContent: "all rows" }));
    for (const name of reason < 0 ? [] : new Set(rows.map((row) => row[reason]))) {
      choice.append(element("option", { value: name, textContent: name }));
    }
    const order = element("select", {}, element("option", { value: "", textContent: "as they stand" }));
    columns.forEach((column, index) => {
      for (const [down, arrow] of [[1, "↓"], [0, "↑"]]) {
        order.append(element("option", { value: index + " " + down, textContent: column.title + " " + arrow }));
      }
    });
    const status = element("p", { className: "small" });
    status.setAttribute("role", "status");
    const head = element("tr");
    const body = element("tbody");
    const more = element("button", { className: "more", type: "button" });
    const table = element("table", { className: "found" }, element("thead", {}, head), body);
    const scroll = element("div", { className: "scroll", tabIndex: 0 }, table);
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", place.dataset.title);

    const sortBy = (column, down) => {
      Object.assign(state, { column, down, count: STEP });
      order.value = column < 0 ? "" : column + " " + (down ? 1 : 0);
      draw();
    };
    const headers = columns.map((column, index) => {
      const button = element("button", { type: "button", textContent: column.title, title: column.help });
      const starts = !["text", "word"].includes(column.kind);
      button.addEventListener("click", () => sortBy(index, state.column === index ? !state.down : starts));
      const header = element("th", { scope: "col", className: column.kind }, button);
      head.append(header);
      return header;
    });

    const compare = (a, b) => {
      const [x, y] = [rows[a][state.column], rows[b][state.column]];
      if (x === null || y === null) return (x === null) - (y === null) || a - b; // what is not known comes last
      const [p, q] = [kinds[state.column].by(x, labels), kinds[state.column].by(y, labels)];
      return (p < q ? -1 : p > q ? 1 : 0) * (state.down ? -1 : 1) || a - b;
    };

    const cell = (row, index) => {
      const column = columns[index];
      const made = element("td", { className: column.kind });
      made.dataset.title = column.title;
      const value = row[index];
      if (value === null) made.textContent = "–";
      else if (column.kind === "seeds") {
        const drawn = bars(value, scale);
        drawn.setAttribute("aria-label", shown(row, index));
        drawn.title = shown(row, index);
        made.append(drawn);
      } else if (column.kind === "class" && value[1] !== null) {
        made.append(labels[value[0]], " ", element("span", { className: "sure", textContent: percent(value[1]) }));
      } else if (column.kind === "votes") {
        const text = shown(row, index);
        made.append(value[1] * 2 > value[2] ? text : element("span", { className: "no", textContent: text }));
      } else made.textContent = shown(row, index);
      return made;
    };

    function draw() {
      const wanted = state.words.toLowerCase().split(/\s+/).filter(Boolean);
      const found = rows
        .map((_, index) => index)
        .filter((index) => wanted.every((word) => words[index].includes(word)))
        .filter((index) => !state.reason || rows[index][reason] === state.reason);
      if (state.column >= 0) found.sort(compare);
      const part = found.slice(0, state.count);
      body.replaceChildren(
        ...part.map((index) => element("tr", {}, ...columns.map((_, column) => cell(rows[index], column)))),
      );
      headers.forEach((header, index) => {
        if (index === state.column) header.setAttribute("aria-sort", state.down ? "descending" : "ascending");
        else header.removeAttribute("aria-sort");
      });
      status.textContent = `${found.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows, ${part.length} shown`;
      more.hidden = part.length === found.length;
      more.textContent = `Show ${Math.min(STEP, found.length - part.length)} more`;
    }

    search.addEventListener("input", () => { Object.assign(state, { words: search.value, count: STEP }); draw(); });
    choice.addEventListener("change", () => { Object.assign(state, { reason: choice.value, count: STEP }); draw(); });
    order.addEventListener("change", () => {
      const [column, down] = order.value === "" ? [-1, 0] : order.value.split(" ").map(Number);
      sortBy(column, down === 1);
    });
    more.addEventListener("click", () => { state.count += STEP; draw(); });
    const controls = element("div", { className: "controls" }, field("Search", search));
    if (reason >= 0) controls.append(field("Shown for", choice));
    controls.append(field("Order", order));
    place.replaceChildren(controls, status, scroll, more);
    draw();
  }
})();
