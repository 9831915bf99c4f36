// Small parts of pages.

export const byId = (id) => document.getElementById(id);

/** An element with a text. Whatever others have written gets onto the page this way only. */
export function make(tag, text = "", className = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  if (className) element.className = className;
  return element;
}

/** A row of a table; its first cell says what the row is about. */
export function row(head, ...cells) {
  const element = document.createElement("tr");
  const first = document.createElement("th");
  first.scope = "row";
  first.append(head);
  element.append(first);
  for (const cell of cells) {
    const place = document.createElement("td");
    place.append(cell);
    element.append(place);
  }
  return element;
}

/** Puts rows into a table, or says that there are none. */
export function fill(id, rows, none) {
  const names = [...byId(id).closest("table").tHead.rows[0].cells].map((cell) => cell.textContent);
  if (rows.length > 0) {
    for (const row of rows) {
      // On a telephone a row is a block, and each cell says what it is. A block that has no role
      // would be no row to a screen reader.
      row.setAttribute("role", "row");
      [...row.cells].forEach((cell, place) => {
        cell.dataset.name = names[place];
        cell.setAttribute("role", place === 0 ? "rowheader" : "cell");
      });
    }
    byId(id).replaceChildren(...rows);
    return;
  }
  const cell = make("td", none, "none");
  cell.colSpan = names.length;
  const empty = document.createElement("tr");
  empty.append(cell);
  byId(id).replaceChildren(empty);
}

/** A link to a view. */
export function link(view, text) {
  const element = make("a", text);
  element.href = `#${view}/${encodeURIComponent(text)}`;
  return element;
}

/** Links to the first and the next rows of a list. */
export function pager(id, from, next, go) {
  const buttons = [];
  const add = (text, to) => {
    const button = make("button", text);
    button.type = "button";
    button.addEventListener("click", () => go(to));
    buttons.push(button);
  };
  if (from > 0) add("First", 0);
  if (next !== null && next !== undefined) add("Next", next);
  byId(id).replaceChildren(...buttons);
}

const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

/** The time of day, to the millisecond. */
export function time(millis = Date.now()) {
  return `${clock.format(millis)}.${String(millis % 1000).padStart(3, "0")}`;
}
