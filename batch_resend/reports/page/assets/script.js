"use strict";
// The table: search, filters and pages over the rows that are in the file.
// Rows become text nodes, never markup.
(() => {
  const PAGE = 100;
  const at = (id) => document.getElementById(id);
  const rows = JSON.parse(at("data").textContent);
  const labels = JSON.parse(at("labels").textContent);
  const [search, outcome, reason] = [at("search"), at("outcome"), at("reason")];
  const body = at("table").tBodies[0];
  const several = at("table").tHead.rows[0].cells.length > 7;
  const number = (n) => n.toLocaleString("en");
  let words = null;
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

  const line = ([report, row, user, label, message, tries, settled, took]) => {
    const [what, why] = labels[label];
    const element = tag("tr");
    if (several) cell(element, "n report", report);
    cell(element, "n row", row);
    cell(element, "name", tag("bdi", "", user));
    cell(element, "", tag("span", "outcome " + what, what), tag("small", "", why));
    cell(element, "message", tag("bdi", "", message));
    cell(element, "n extra", tries);
    cell(element, "extra time", settled);
    cell(element, "n extra", took === null ? "" : took + " ms");
    return element;
  };

  const draw = () => {
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    body.replaceChildren(...found.slice(page * PAGE, (page + 1) * PAGE).map(line));
    const last = Math.min(found.length, (page + 1) * PAGE);
    at("found").textContent =
      (found.length ? number(page * PAGE + 1) + " to " + number(last) + " of " : "") +
      number(found.length) +
      (found.length === rows.length ? " rows" : " rows found among " + number(rows.length));
    at("page").textContent = "Page " + number(page + 1) + " of " + number(pages);
    at("back").disabled = page === 0;
    at("on").disabled = page === pages - 1;
    at("page").parentElement.hidden = pages === 1;
  };

  const filter = () => {
    // Made at the first search, so that opening a long page costs nothing.
    words ??= rows.map((row) => [row[1], row[2], ...labels[row[3]], row[4], row[6]].join("\n").toLowerCase());
    const wanted = search.value.trim().toLowerCase();
    found = rows.filter(
      (row, n) =>
        (!outcome.value || labels[row[3]][0] === outcome.value) &&
        (!reason.value || labels[row[3]][1] === reason.value) &&
        words[n].includes(wanted),
    );
    page = 0;
    draw();
  };

  const turn = (by) => {
    page += by;
    draw();
    at("rows").scrollIntoView();
  };

  const form = search.form;
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  at("back").addEventListener("click", () => turn(-1));
  at("on").addEventListener("click", () => turn(1));
  for (const link of document.querySelectorAll("a[data-reason]")) {
    link.addEventListener("click", () => {
      form.reset();
      reason.value = link.dataset.reason;
      filter();
    });
  }
  draw();
})();
