"use strict";
// The page at work: times in the reader's zone, copy buttons, and the table with its search,
// filters, sorting, pages, links and downloads. Rows become text nodes, never markup.
(() => {
  const at = (id) => document.getElementById(id);
  const two = (n) => String(n).padStart(2, "0");
  const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
  const zone = (time) => {
    const parts = new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" }).formatToParts(time);
    return parts.find((part) => part.type === "timeZoneName").value;
  };
  const clock = (time) => two(time.getHours()) + ":" + two(time.getMinutes());

  for (const element of document.querySelectorAll("time")) {
    const time = new Date(element.dateTime);
    const day = time.getDate() + " " + MONTHS[time.getMonth()] + " " + time.getFullYear() + ", ";
    element.title = element.dateTime;
    element.textContent =
      ("clock" in element.dataset ? "" : day) + clock(time) + " " + zone(time);
  }

  // Where a page from disk has no clipboard, the text is selected and copied from there.
  const copy = async (code) => {
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      getSelection().selectAllChildren(code);
      document.execCommand("copy");
    }
  };
  for (const button of document.querySelectorAll(".copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await copy(button.previousElementSibling.querySelector("code"));
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 2000);
    });
  }

  if (!at("data")) return;
  const PAGE = 100;
  const [REPORT, ROW, USER, LABEL, MESSAGE, , TIME] = [0, 1, 2, 3, 4, 5, 6];
  const rows = JSON.parse(at("data").textContent);
  const labels = JSON.parse(at("labels").textContent);
  const [search, outcome, reason] = [at("search"), at("outcome"), at("reason")];
  const body = at("table").tBodies[0];
  const headings = [...at("table").querySelectorAll("th[data-sort]")];
  const several = headings.length > 7;
  const number = (n) => n.toLocaleString("en");
  let words = null;
  let only = null; // a choice that no field shows: its words, and its test of a row
  let order = null; // a column, and 1 or -1
  let found = rows;
  let page = 0;

  const tag = (name, className, text) => {
    const element = document.createElement(name);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  const cell = (line, className, ...content) => {
    const element = tag("td", className);
    element.append(...content);
    line.append(element);
  };

  const local = (text) => {
    const time = new Date(text.replace(" ", "T") + "Z");
    if (isNaN(time)) return text;
    const day = [time.getFullYear(), two(time.getMonth() + 1), two(time.getDate())].join("-");
    return day + " " + clock(time) + ":" + two(time.getSeconds());
  };

  const link = (row) => "#row=" + (several ? row[REPORT] + "." : "") + row[ROW];

  const line = (row) => {
    const [report, n, user, label, message, attempts, settled, took] = row;
    const [what, , word, why] = labels[label];
    const element = tag("tr");
    if (several) cell(element, "n report", report);
    const anchor = tag("a", "", n);
    anchor.href = link(row);
    cell(element, "n row", anchor);
    cell(element, "name", tag("bdi", "", user));
    cell(element, "what", tag("span", "outcome " + what, word), tag("small", "", why));
    cell(element, "message", tag("bdi", "", message));
    cell(element, "n extra", attempts);
    cell(element, "extra time", local(settled));
    cell(element, "n extra", took === null ? "" : number(took) + " ms");
    return element;
  };

  const draw = () => {
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    body.replaceChildren(...found.slice(page * PAGE, (page + 1) * PAGE).map(line));
    const last = Math.min(found.length, (page + 1) * PAGE);
    const all = number(rows.length) + (rows.length === 1 ? " row" : " rows");
    at("found").textContent =
      (found.length > 1 ? number(page * PAGE + 1) + " to " + number(last) + " of " : "") +
      (found.length === rows.length ? all : number(found.length) + " matching of " + all) +
      (only ? " (" + only.words + ")" : "");
    at("page").textContent = "Page " + number(page + 1) + " of " + number(pages);
    at("back").disabled = page === 0;
    at("on").disabled = page === pages - 1;
    at("page").parentElement.hidden = pages === 1;
    at("scroll").hidden = found.length === 0;
    at("empty").hidden = found.length !== 0;
    at("save").hidden = found.length === 0;
  };

  const key = (row) => {
    const value = row[order.column];
    if (order.column === LABEL) return labels[value][2] + labels[value][3];
    return typeof value === "string" ? value.toLowerCase() : value ?? -1;
  };

  const filter = () => {
    // Made at the first search, so that opening a long page costs nothing.
    words ??= rows.map((row) =>
      [row[ROW], row[USER], ...labels[row[LABEL]], row[MESSAGE], local(row[TIME])].join("\n").toLowerCase(),
    );
    const wanted = search.value.trim().toLowerCase();
    found = rows.filter(
      (row, n) =>
        (!only || only.test(row)) &&
        (!outcome.value || labels[row[LABEL]][0] === outcome.value) &&
        (!reason.value || labels[row[LABEL]][1] === reason.value) &&
        words[n].includes(wanted),
    );
    if (order) {
      const keys = new Map(found.map((row) => [row, key(row)]));
      const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
      found.sort((a, b) => order.way * compare(keys.get(a), keys.get(b)));
    }
    page = 0;
    draw();
  };

  const turn = (by) => {
    page += by;
    draw();
    at("rows").scrollIntoView();
  };

  // What a spreadsheet would run as a formula gets an apostrophe, as in the report: also after
  // a semicolon, where some spreadsheets split. Control characters are escapes in the rows already.
  const quoted = (value) => {
    let text = String(value ?? "").replace(/;(?=["'\s]*[=+\-@\uff1d\uff0b\uff0d\uff20])/g, ";'");
    if (/^['\s]*[=+\-@\uff1d\uff0b\uff0d\uff20]/.test(text) && !/^\+\d{3,15}$/.test(text)) text = "'" + text;
    return /[",\n\r]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
  };

  const save = (chosen, name) => {
    const head = ["report", "row", "user", "outcome", "reason", "message", "attempts", "finished_at", "latency_ms"];
    const lines = chosen.map(([report, row, user, label, message, attempts, time, took]) =>
      [report, row, user, ...labels[label].slice(0, 2), message, attempts, time.replace(" ", "T") + "Z", took],
    );
    const text = [head, ...lines].map((cells) => cells.map(quoted).join(",") + "\n").join("");
    const anchor = tag("a");
    anchor.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    anchor.download = name + ".csv";
    anchor.click();
    setTimeout(() => URL.revokeObjectURL(anchor.href), 10000);
  };

  const choose = (choice, set = () => {}) => {
    form.reset();
    only = choice;
    set();
    filter();
  };
  const among = (codes) => (row) => codes.includes(labels[row[LABEL]][1]);

  // #row=28, or #row=2.28 in the second of several reports.
  const follow = () => {
    const match = /^#row=(?:(\d+)\.)?(\d+)$/.exec(location.hash);
    if (!match) return;
    const [, report, row] = match;
    choose({
      words: "row " + number(Number(row)),
      test: (one) => one[ROW] === Number(row) && (!report || one[REPORT] === Number(report)),
    });
    at("rows").scrollIntoView();
  };

  const clear = () => {
    only = null;
    if (location.hash.startsWith("#row=")) history.replaceState(null, "", "#rows");
    filter();
  };

  const form = search.form;
  form.hidden = false;
  at("zone").textContent = "(" + zone(new Date()) + ")";
  form.addEventListener("input", () => {
    only = null;
    filter();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.querySelector("[type=reset]").addEventListener("click", () => setTimeout(clear));
  at("clear").addEventListener("click", () => {
    form.reset();
    clear();
  });
  at("back").addEventListener("click", () => turn(-1));
  at("on").addEventListener("click", () => turn(1));
  at("save").addEventListener("click", () => save(found, "rows"));
  for (const button of document.querySelectorAll(".save")) {
    const codes = button.dataset.reasons.split(",");
    button.hidden = false;
    button.addEventListener("click", () =>
      save(rows.filter(among(codes)), codes.length === 1 ? codes[0] : "unknown"),
    );
  }
  for (const anchor of document.querySelectorAll("a[data-reason]")) {
    const codes = anchor.dataset.reason.split(",");
    anchor.addEventListener("click", () =>
      codes.length === 1
        ? choose(null, () => (reason.value = codes[0]))
        : choose({ words: "outcome unknown", test: among(codes) }),
    );
  }
  for (const heading of headings) {
    const button = tag("button", "sort");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const column = Number(heading.dataset.sort);
      order = { column, way: order && order.column === column ? -order.way : 1 };
      for (const other of headings) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", order.way > 0 ? "ascending" : "descending");
      filter();
    });
  }
  addEventListener("hashchange", follow);
  draw();
  follow();
})();
