import { getResource, openClient } from "/connection.js";
import { BookCard } from "/book.js";

const byId = (id) => document.getElementById(id);
const shelf = byId("books");
const notice = byId("notice");
const composer = byId("composer");
const newTitle = byId("new-title");
const newAuthor = byId("new-author");
const problem = byId("problem");
const toast = byId("toast");

/** How many events the side panel keeps. */
const KEPT_EVENTS = 12;
/** Milliseconds that an undo is offered. */
const UNDO_TIME = 8000;

/** The cards in the order of the collection. */
const cards = [];

const client = await openClient(byId("badge"), (state) => {
  byId("add").disabled = state !== "live";
});

const books = await getResource(client, "library.books", (why) => {
  notice.textContent = why;
});
for (const book of books) {
  insert(book, cards.length);
}
showCount();

books.on("add", ({ item, idx }) => {
  insert(item, idx).flash("added");
  showCount();
  report("add", "library.books", `“${item.title}” by ${item.author} joined the shelf.`);
});
books.on("remove", ({ item, idx }) => {
  const [card] = cards.splice(idx, 1);
  const focused = card.element.contains(document.activeElement);
  card.remove();
  if (focused) {
    byId("shelf-title").focus();
  }
  showCount();
  report("remove", "library.books", `“${item.title}” left the shelf.`);
});

function insert(book, idx) {
  const card = new BookCard(book, { onChange: reportChange, onDelete: deleteBook });
  shelf.insertBefore(card.element, cards[idx]?.element ?? null);
  cards.splice(idx, 0, card);
  return card;
}

function showCount() {
  const count = cards.length;
  byId("count").textContent = count === 1 ? "1 book" : `${count} books`;
  notice.textContent = "The shelf is empty. Add the first book.";
  notice.hidden = count > 0;
}

composer.addEventListener("submit", async (event) => {
  event.preventDefault();
  const book = { title: newTitle.value.trim(), author: newAuthor.value.trim() };
  try {
    await client.call("library.books", "new", book);
    newTitle.value = "";
    newAuthor.value = "";
    problem.hidden = true;
    newTitle.focus();
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
    (book.title ? newAuthor : newTitle).focus();
  }
});

composer.addEventListener("input", () => {
  problem.hidden = true;
});

async function deleteBook({ book }) {
  const { id, title, author } = book;
  try {
    await client.call("library.books", "delete", { id });
    offerUndo(`“${title}” was deleted.`, { title, author });
  } catch (error) {
    offerUndo(`“${title}” was not deleted: ${error.message}`);
  }
}

let undoTimer;
let deleted;

function offerUndo(text, book) {
  deleted = book;
  byId("toast-text").textContent = text;
  byId("undo").hidden = !book;
  toast.hidden = false;
  clearTimeout(undoTimer);
  undoTimer = setTimeout(() => {
    toast.hidden = true;
  }, UNDO_TIME);
}

byId("undo").addEventListener("click", async () => {
  toast.hidden = true;
  try {
    await client.call("library.books", "new", deleted);
  } catch (error) {
    offerUndo(`“${deleted.title}” could not be added again: ${error.message}`);
  }
});

function reportChange(book, old) {
  for (const field of Object.keys(old)) {
    const text = `${field === "title" ? "Title" : "Author"} is now “${book[field]}”.`;
    report("change", book.getResourceId(), text);
  }
}

function report(kind, rid, text) {
  const item = document.createElement("li");
  const source = document.createElement("code");
  item.dataset.kind = kind;
  source.textContent = `${kind} ${rid}`;
  item.append(text, source);
  byId("no-events").hidden = true;
  byId("events").prepend(item);
  byId("events").children[KEPT_EVENTS]?.remove();
}
