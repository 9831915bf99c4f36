// One book on the shelf: its card, and the form that edits it in place.

const template = document.getElementById("book-template");

export class BookCard {
  /**
   * `onChange(book, old)` hears of every change, with the former values;
   * `onDelete(card)` of a press on the delete button.
   */
  constructor(book, { onChange, onDelete }) {
    this.book = book;
    this.element = template.content.firstElementChild.cloneNode(true);
    const find = (selector) => this.element.querySelector(selector);
    this.view = find(".view");
    this.editor = find(".editor");
    this.problem = find(".problem");
    this.inputs = { title: find(".title-input"), author: find(".author-input") };
    this.editButton = find(".edit");

    this.handleChange = (old) => {
      this.render();
      this.refreshEditor(old);
      this.flash("changed");
      onChange(book, old);
    };
    // A reference that could not be loaded stands as an error, which has no events.
    if (book.on) {
      book.on("change", this.handleChange);
    }
    this.editButton.addEventListener("click", () => this.open());
    find(".delete").addEventListener("click", () => onDelete(this));
    find(".cancel").addEventListener("click", () => this.close());
    this.editor.addEventListener("submit", (event) => {
      event.preventDefault();
      this.save();
    });
    this.editor.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        this.close();
      }
    });
    this.render();
  }

  /** Stops listening to the book and takes the card off the page. */
  remove() {
    if (this.book.off) {
      this.book.off("change", this.handleChange);
    }
    this.element.remove();
  }

  render() {
    const { id, title = "This book cannot be shown", author = "" } = this.book;
    const find = (selector) => this.element.querySelector(selector);
    find(".title").textContent = title;
    find(".author").textContent = author;
    find(".cover b").textContent = title;
    find(".cover i").textContent = author;
    // The golden angle keeps the colours of neighbours apart.
    find(".cover").style.setProperty("--hue", String(Math.round((id ?? 0) * 137.5 + 30) % 360));
    find(".edit").setAttribute("aria-label", `Edit ${title}`);
    find(".delete").setAttribute("aria-label", `Delete ${title}`);
    this.element.dataset.id = String(id);
  }

  /** Marks the card for a moment; styles decide how. */
  flash(name) {
    this.element.classList.remove(name);
    void this.element.offsetWidth;
    this.element.classList.add(name);
  }

  open() {
    this.inputs.title.value = this.book.title;
    this.inputs.author.value = this.book.author;
    this.show(true);
    this.inputs.title.select();
  }

  /** Follows a change made elsewhere in the fields that were not touched here. */
  refreshEditor(old) {
    for (const [field, input] of Object.entries(this.inputs)) {
      if (field in old && input.value === old[field]) {
        input.value = this.book[field];
      }
    }
  }

  close() {
    this.show(false);
    this.editButton.focus();
  }

  show(editing) {
    this.view.hidden = editing;
    this.editor.hidden = !editing;
    this.problem.hidden = true;
    this.element.classList.toggle("editing", editing);
  }

  async save() {
    const values = {
      title: this.inputs.title.value.trim(),
      author: this.inputs.author.value.trim(),
    };
    try {
      await this.book.set(values);
      this.close();
    } catch (error) {
      this.problem.textContent = error.message;
      this.problem.hidden = false;
    }
  }
}
