"use strict";
// Shows the document in #data (docs/reference/conformance-report.md).  All that it holds becomes text of the page,
// never markup.  Cases are shown a part at a time, and what is inside one when it is opened: there may be ten thousand.

const PART = 200;
const STATUSES = ["passed", "failed", "skipped", "not applicable", "missing"];
const report = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

/** An element with attributes (a function is a listener) and children (a string is text). */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
const styleOf = (status) => status.replace(" ", "-");

function table(columns, rows) {
  const heads = columns.map((column) =>
    element("th", { scope: "col", class: column.number ? "number" : null }, column.title),
  );
  return element("table", {}, element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...rows));
}

function options(select, values, all) {
  const labels = [["", all], ...values.map((value) => [String(value), String(value)])];
  select.replaceChildren(...labels.map(([value, label]) => element("option", { value }, label)));
}

// --- summary ---------------------------------------------------------------------------------------------------------

function showAbout() {
  const { producer, suite } = report;
  const name = suite.name === "" ? "the built-in suite" : suite.name;
  const parts = [
    `${count(suite.cases, "case")} of ${name} (${suite.digest.slice(0, 12)})`,
    `${report.started}, ${report.seconds.toFixed(1)} s`,
    `${producer.name} ${producer.version}, Python ${producer.python}, ${producer.system} ${producer.machine}`,
  ];
  byId("about").textContent = parts.join(" · ");
  if (!report.complete) {
    byId("stopped").hidden = false;
    byId("stopped").textContent = `This report is partial: ${report.stopped || "the run is not over"}.`;
  }
  if (suite.problems.length > 0) {
    byId("problems").hidden = false;
    byId("problems").open = true;
    byId("problems")
      .querySelector("ul")
      .append(...suite.problems.map((problem) => element("li", {}, problem)));
  }
}

const COUNTS = ["run", "passed", "failed", "skipped", "not applicable", "missing"];

function showSummary() {
  const names = COUNTS.filter((name) => name !== "missing" || !report.complete);
  for (const runtime of report.runtimes) {
    const line = (title, tally, style = null) => {
      const cells = names.map((name) => {
        const value = tally[name.replace(" ", "_")];
        return element("td", { class: `number ${value > 0 ? styleOf(name) : "dim"}` }, value.toLocaleString("en"));
      });
      return element("tr", { class: style }, element("td", {}, title), ...cells);
    };
    const rows = Object.entries(runtime.areas).map(([name, tally]) => line(name, tally));
    rows.push(line("all", runtime.totals, "total"));
    const columns = [{ title: "area" }, ...names.map((title) => ({ title, number: true }))];
    byId("summary").append(element("h3", {}, `${runtime.name} ${runtime.version}`.trim()), table(columns, rows));
  }
}

function showReasons() {
  const rows = report.runtimes.flatMap((runtime) =>
    runtime.totals.reasons.map((one) =>
      element(
        "tr",
        {},
        element("td", {}, runtime.name),
        element("td", { class: styleOf(one.status) }, one.status),
        element("td", { class: "number" }, one.cases.toLocaleString("en")),
        element("td", {}, one.reason),
      ),
    ),
  );
  const columns = [{ title: "runtime" }, { title: "status" }, { title: "cases", number: true }, { title: "reason" }];
  byId("reasons").hidden = rows.length === 0;
  byId("reasons").querySelector("div").append(table(columns, rows));
}

function showRuntimes() {
  const list = (values) => (values.length > 0 ? values.join(", ") : "none");
  const facts = [
    ["version", (runtime) => runtime.version || "not said"],
    ["description", (runtime) => runtime.description],
    ["groups", (runtime) => list(runtime.groups)],
    ["features", (runtime) => list(runtime.features)],
    ["refuses", (runtime) => list(runtime.refuses)],
    ["shows beside r0", (runtime) => list(runtime.shows)],
    ["budget of instructions", (runtime) => (runtime.budget ? "yes" : "no")],
    ["seconds a case", (runtime) => String(runtime.timeout)],
    ["known limits", (runtime) => list(runtime.limits.map((limit) => `${limit.pattern}: ${limit.reason}`))],
  ];
  const rows = facts.map(([title, fact]) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, title),
      ...report.runtimes.map((runtime) => element("td", {}, fact(runtime))),
    ),
  );
  const columns = [{ title: "" }, ...report.runtimes.map((runtime) => ({ title: runtime.name }))];
  byId("runtimes").querySelector("div").append(table(columns, rows));
}

// --- cases -----------------------------------------------------------------------------------------------------------

const statusOf = (result) => (result === null ? "missing" : result.status);
let cell = null; // the index of the cell of the coverage map that cases must execute
let matching = [];
let shown = 0;

for (const one of report.cases) {
  const whys = one.results.map((result) => (result === null ? "" : result.why));
  one.text = [one.name, one.about, one.cite, ...one.disassembly, ...whys].join("\n").toLowerCase();
}

function matches(one, wanted) {
  const chosen = wanted.runtime === "" ? one.results : [one.results[Number(wanted.runtime)]];
  return (
    (wanted.status === "" || chosen.some((result) => statusOf(result) === wanted.status)) &&
    (wanted.area === "" || one.area === wanted.area) &&
    (cell === null || one.cells.includes(cell)) &&
    wanted.words.every((word) => one.text.includes(word))
  );
}

function filter() {
  const wanted = {
    words: byId("text")
      .value.toLowerCase()
      .split(/\s+/)
      .filter((word) => word !== ""),
    status: byId("status").value,
    area: byId("area").value,
    runtime: byId("runtime").value,
  };
  matching = report.cases.filter((one) => matches(one, wanted));
  shown = 0;
  byId("list").replaceChildren();
  byId("cell").hidden = cell === null;
  if (cell !== null) {
    const { row, operand, class: value } = report.coverage.cells[cell];
    byId("cell").querySelector("span").textContent = `executing ${row} with ${operand} ${value}`;
  }
  more();
}

function more() {
  const part = matching.slice(shown, shown + PART);
  byId("list").append(...part.map(caseElement));
  shown += part.length;
  byId("more").hidden = shown === matching.length;
  byId("count").textContent =
    `${count(matching.length, "case")} of ${report.cases.length.toLocaleString("en")}` +
    (shown < matching.length ? `, ${shown.toLocaleString("en")} shown` : "");
}

function caseElement(one) {
  const several = report.runtimes.length > 1;
  const marks = one.results.map((result, index) => {
    const status = statusOf(result);
    return element("span", { class: styleOf(status) }, several ? `${report.runtimes[index].name}: ${status}` : status);
  });
  const whys = one.results.filter((result) => result !== null && result.why !== "").map((result) => result.why);
  const button = element(
    "button",
    { type: "button", "aria-expanded": "false", click: () => toggle(box, button, one) },
    element("span", { class: "marks" }, ...marks),
    element("span", { class: "name" }, one.name),
    element("span", { class: "why" }, whys.length > 0 ? whys[0] : one.about),
  );
  const box = element("div", { class: "case" }, button);
  return box;
}

function toggle(box, button, one) {
  const open = button.getAttribute("aria-expanded") === "false";
  button.setAttribute("aria-expanded", String(open));
  if (open) box.append(caseContent(one));
  else box.lastElementChild.remove();
}

function caseContent(one) {
  const lines = [
    one.about,
    [one.cite, one.file === "" ? "" : `${one.file}:${one.line}`].filter((part) => part !== "").join(" · "),
  ];
  const needs = [...one.groups, ...one.features].join(", ");
  const maps = one.maps.map(
    (map) => `${map.name} ${map.type} key=${map.key} value=${map.value} entries=${map.entries}`,
  );
  return element(
    "div",
    { class: "open" },
    ...lines.filter((line) => line !== "").map((line) => element("p", {}, line)),
    element("p", { class: "dim" }, `needs ${needs}${one.budget === null ? "" : `; budget ${one.budget} instructions`}`),
    ...maps.map((map) => element("p", { class: "dim" }, `map ${map}`)),
    element(
      "div",
      { class: "sides" },
      element(
        "div",
        {},
        element("h3", {}, "Program"),
        element("pre", {}, one.disassembly.join("\n")),
        one.memory === null
          ? null
          : element("p", {}, "memory at entry ", element("code", {}, spaced(one.memory) || "empty")),
      ),
      element(
        "div",
        {},
        element("h3", {}, "Expected"),
        ...one.expected.map((expected, index) =>
          element(
            "p",
            {},
            index > 0 ? "or " : "",
            element("code", {}, expectationText(expected)),
            expected.why === "" ? "" : ` because ${expected.why}`,
          ),
        ),
      ),
    ),
    ...one.results.map((result, index) => resultContent(one, result, report.runtimes[index])),
  );
}

const spaced = (hex) => hex.replace(/(..)(?=.)/g, "$1 ");

function expectationText(expected) {
  const registers = Object.entries(expected.registers).map(([name, value]) => `${name}=${value}`);
  const blocks = ["memory", "stack"]
    .filter((name) => expected[name] !== null)
    .map((name) => `${name}=${expected[name]}`);
  return [expected.verdict, expected.trap, ...registers, ...blocks].filter((part) => part !== null).join(" ");
}

function resultContent(one, result, runtime) {
  const status = statusOf(result);
  const content = element(
    "div",
    {},
    element("h3", {}, `${runtime.name}: `, element("span", { class: styleOf(status) }, status)),
  );
  if (result === null) return content;
  if (result.why !== "") content.append(element("p", { class: "said" }, result.why));
  if (result.attempts > 1) content.append(element("p", {}, `asked ${result.attempts} times`));
  if (result.outcome !== null) content.append(differences(one, result.outcome));
  if (result.repeat !== undefined) content.append(element("p", {}, "repeat: ", element("code", {}, result.repeat)));
  return content;
}

/** Expected and got side by side: the verdict, then every part of the signature that either side has. */
function differences(one, outcome) {
  const rows = [];
  const line = (title, expected, got, differs) =>
    rows.push(
      element(
        "tr",
        { class: differs ? "differs" : null },
        element("th", { scope: "row" }, title),
        element("td", { class: "value" }, expected),
        element("td", { class: "value" }, got),
      ),
    );
  const expected = nearest(one, outcome);
  const verdict = [outcome.kind, outcome.trap, outcome.pc === null ? null : `at ${outcome.pc}`]
    .filter((part) => part !== null)
    .join(" ");
  line("verdict", [expected.verdict, expected.trap].filter((part) => part !== null).join(" "), verdict, false);
  for (let number = 0; number <= 10; number += 1) {
    const name = `r${number}`;
    const [wanted, got] = [expected.registers[name], outcome.registers[name]];
    if (wanted !== undefined || got !== undefined) {
      line(name, wanted ?? "any", got ?? "not shown", wanted !== undefined && got !== undefined && wanted !== got);
    }
  }
  for (const name of ["memory", "stack"]) {
    const wanted = expected[name];
    // Of the stack the highest bytes are expected, which are its last.
    const got =
      name === "stack" && wanted !== null && outcome.stack !== null
        ? outcome.stack.slice(-wanted.length)
        : outcome[name];
    if (wanted !== null || got !== null) {
      line(name, bytesElement(wanted, got, "any"), bytesElement(got, wanted, "not shown"), false);
    }
  }
  if (outcome.message !== "") line("it says", "", element("span", { class: "said" }, outcome.message), false);
  return table([{ title: "" }, { title: "expected" }, { title: "got" }], rows);
}

/** Of several right answers the one that agrees with most of what was got. */
function nearest(one, outcome) {
  const agreement = (expected) =>
    Object.entries(expected.registers).filter(([name, value]) => outcome.registers[name] === value).length +
    (expected.memory !== null && expected.memory === outcome.memory ? 1 : 0);
  return one.expected.reduce((best, next) => (agreement(next) > agreement(best) ? next : best));
}

/** Bytes in hex, those marked that are others in `other`. */
function bytesElement(hex, other, absent) {
  if (hex === null) return absent;
  const content = element("span");
  let run = "";
  let differing = false;
  const flush = () => {
    if (run !== "") content.append(element("span", { class: differing ? "differs" : null }, run));
    run = "";
  };
  for (let at = 0; at < hex.length; at += 2) {
    const differs = other !== null && hex.slice(at, at + 2) !== other.slice(at, at + 2);
    if (differs !== differing) {
      flush();
      differing = differs;
    }
    run += `${hex.slice(at, at + 2)} `;
  }
  flush();
  return content;
}

function prepareCases() {
  options(
    byId("status"),
    STATUSES.filter((status) => report.cases.some((one) => one.results.some((r) => statusOf(r) === status))),
    "all",
  );
  options(byId("area"), [...new Set(report.runtimes.flatMap((runtime) => Object.keys(runtime.areas)))], "all");
  byId("runtime").replaceChildren(
    element("option", { value: "" }, "any"),
    ...report.runtimes.map((runtime, index) => element("option", { value: String(index) }, runtime.name)),
  );
  byId("runtime").parentElement.hidden = report.runtimes.length < 2;
  if (report.runtimes.some((runtime) => runtime.totals.failed > 0)) byId("status").value = "failed";
  for (const id of ["text", "status", "area", "runtime"]) byId(id).addEventListener("input", filter);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("cell")
    .querySelector("button")
    .addEventListener("click", () => {
      cell = null;
      filter();
    });
  byId("more").addEventListener("click", more);
  filter();
}

// --- coverage --------------------------------------------------------------------------------------------------------

function showCoverage() {
  if (report.coverage === null) return;
  const { reached, reachable, rows } = report.coverage;
  byId("coverage").hidden = false;
  byId("to-coverage").hidden = false;
  byId("coverage").querySelector("p").textContent =
    `The cases execute ${reached.toLocaleString("en")} of ` +
    `${reachable.toLocaleString("en")} cells: a row of the instruction table, an operand, and a class of its values. ` +
    "A number says how many cases do, and shows them.";
  options(byId("coverage-group"), [...new Set(rows.flatMap((row) => row.groups))], "all");
  byId("coverage-group").addEventListener("input", showMap);
  byId("coverage-gaps").addEventListener("input", showMap);
  // Made when it comes into view: it has some thousand squares.
  new IntersectionObserver(
    (entries, observer) => {
      if (entries.some((entry) => entry.isIntersecting)) {
        observer.disconnect();
        showMap();
      }
    },
    { rootMargin: "600px" },
  ).observe(byId("coverage"));
}

function showMap() {
  const { classes, cells, rows } = report.coverage;
  const [group, gaps] = [byId("coverage-group").value, byId("coverage-gaps").checked];
  const lines = new Map(); // "row operand" -> class -> index of the cell
  cells.forEach((one, index) => {
    const key = `${one.row} ${one.operand}`;
    if (!lines.has(key)) lines.set(key, new Map());
    lines.get(key).set(one.class, index);
  });
  const groups = new Map(rows.map((row) => [row.name, row.groups]));
  const body = [];
  for (const [key, line] of lines) {
    const [row, operand] = key.split(" ");
    const wanted =
      (group === "" || groups.get(row).includes(group)) &&
      (!gaps || [...line.values()].some((index) => cells[index].cases === 0));
    if (wanted) {
      body.push(
        element(
          "tr",
          {},
          element("th", { scope: "row", class: "name" }, row),
          element("td", {}, operand),
          ...classes.map((name) => cellElement(line.get(name), row, operand, name)),
        ),
      );
    }
  }
  const columns = [{ title: "row" }, { title: "operand" }, ...classes.map((title) => ({ title }))];
  byId("map").replaceChildren(table(columns, body));
}

function cellElement(index, row, operand, name) {
  if (index === undefined) return element("td");
  const { cases } = report.coverage.cells[index];
  const label = `${row}, ${operand} ${name}: ${count(cases, "case")}`;
  if (cases === 0) return element("td", { class: "gap", title: label }, "0");
  const show = () => {
    cell = index;
    byId("status").value = "";
    filter();
    byId("cases").focus();
    byId("cases").scrollIntoView();
  };
  return element(
    "td",
    { class: "reached" },
    element("button", { type: "button", title: label, "aria-label": label, click: show }, String(cases)),
  );
}

showAbout();
showSummary();
showReasons();
showRuntimes();
prepareCases();
showCoverage();
