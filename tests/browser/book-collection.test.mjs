// Two windows on the book-collection page: what happens in one shows in the other.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { startBroker, startExample, startGateway, stopAll } from "../support/programs.mjs";
import {
  accessibilityProblems,
  isLive,
  launchBrowser,
  openWindow,
  screenshot,
} from "./windows.mjs";

describe("the book-collection page", () => {
  let broker;
  let gateway;
  let service;
  let browser;
  let here;
  let there;

  const book = (page, title) =>
    page.locator(".book", { has: page.getByRole("heading", { name: title, exact: true }) });
  const titles = (page) => page.locator(".book .title").allTextContents();
  const addBook = async (page, title, author) => {
    await page.locator("#new-title").fill(title);
    await page.locator("#new-author").fill(author);
    await page.getByRole("button", { name: "Add book" }).click();
  };

  before(async () => {
    broker = await startBroker();
    gateway = await startGateway(broker);
    service = await startExample("book-collection", broker, gateway);
    browser = await launchBrowser();
    here = await openWindow(browser, service.page);
    there = await openWindow(browser, service.page);
  });

  after(async () => {
    await browser?.close();
    await stopAll();
  });

  it("shows the books and that it is connected", async () => {
    for (const page of [here, there]) {
      await isLive(page);
      await book(page, "Coraline").waitFor();
      assert.deepEqual(await titles(page), ["Animal Farm", "Brave New World", "Coraline"]);
      assert.equal(await page.locator("#count").textContent(), "3 books");
    }
    const cover = here.locator(".cover").first();
    assert.match(await cover.evaluate((it) => getComputedStyle(it).backgroundImage), /gradient/);
    await screenshot(here, "books-first");
  });

  it("shows an edit in both windows", async () => {
    await here.getByRole("button", { name: "Edit Brave New World" }).click();
    await screenshot(here, "books-editing");
    await here.locator(".book.editing .title-input").fill("Island");
    await here.keyboard.press("Enter");
    for (const page of [here, there]) {
      await book(page, "Island").waitFor();
    }
    assert.equal(await here.locator(".book.editing").count(), 0);
    await there.getByText("Title is now “Island”.").waitFor();
  });

  it("shows a book added in the other window", async () => {
    await addBook(there, "Dracula", "Bram Stoker");
    await book(here, "Dracula").waitFor();
    assert.deepEqual(await titles(here), ["Animal Farm", "Island", "Coraline", "Dracula"]);
    assert.equal(await there.locator("#new-title").inputValue(), "");
  });

  it("takes a deleted book off both shelves, and brings it back on undo", async () => {
    await here.getByRole("button", { name: "Delete Animal Farm" }).click();
    await book(there, "Animal Farm").waitFor({ state: "detached" });
    assert.deepEqual(await titles(there), ["Island", "Coraline", "Dracula"]);
    await screenshot(here, "books-deleted");
    await here.getByRole("button", { name: "Undo" }).click();
    await book(there, "Animal Farm").waitFor();
    assert.deepEqual(await titles(there), ["Island", "Coraline", "Dracula", "Animal Farm"]);
  });

  it("leaves an open form alone, but for the fields that nobody touched", async () => {
    await here.getByRole("button", { name: "Edit Coraline" }).click();
    const form = here.locator(".book.editing");
    await form.locator(".title-input").fill("Stardust");
    await there.getByRole("button", { name: "Edit Coraline" }).click();
    await there.locator(".book.editing .author-input").fill("N. Gaiman");
    await there.getByRole("button", { name: "Save" }).click();
    await here.getByText("Author is now “N. Gaiman”.").waitFor();
    assert.equal(await form.locator(".title-input").inputValue(), "Stardust");
    assert.equal(await form.locator(".author-input").inputValue(), "N. Gaiman");
    await here.getByRole("button", { name: "Save" }).click();
    await book(there, "Stardust").waitFor();
    await book(there, "Stardust").getByText("N. Gaiman").first().waitFor();
  });

  it("says what the service refuses", async () => {
    await addBook(here, "Nameless", "  ");
    await here.getByText("Must provide both title and author").waitFor();
    await here.locator("#new-title").fill("");
    await here.getByRole("button", { name: "Edit Dracula" }).click();
    await here.locator(".book.editing .title-input").fill("");
    await here.getByRole("button", { name: "Save" }).click();
    await here.getByText("Title must not be empty").waitFor();
    await here.keyboard.press("Escape");
    await book(here, "Dracula").waitFor();
  });

  it("has no accessibility problems, light or dark, view or form", async () => {
    for (const colorScheme of ["light", "dark"]) {
      await here.emulateMedia({ colorScheme });
      assert.deepEqual(await accessibilityProblems(here), []);
      await here.getByRole("button", { name: "Edit Dracula" }).click();
      assert.deepEqual(await accessibilityProblems(here), []);
      await screenshot(here, `books-form-${colorScheme}`);
      await here.keyboard.press("Escape");
      await screenshot(here, `books-${colorScheme}`);
    }
  });

  it("fits a telephone", async () => {
    for (const [name, colorScheme, width] of [
      ["phone-light", "light", 390],
      ["phone-dark", "dark", 320],
    ]) {
      const viewport = { width, height: 844 };
      const page = await openWindow(browser, service.page, { viewport, colorScheme });
      await book(page, "Stardust").waitFor();
      const overflow = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      assert.equal(overflow, 0);
      await screenshot(page, `books-${name}`);
      await page.context().close();
    }
  });

  it("shows markup as text", async () => {
    const markup = "<img src=x onerror=\"document.title='broken in'\"><b>Bold</b>";
    await addBook(here, markup, "<script>1</script>");
    await book(there, markup).waitFor();
    assert.equal(await there.locator(".books img, .events img, .books script").count(), 0);
    assert.equal(await there.title(), "Book Collection · Tidegate");
    await there.getByRole("button", { name: `Delete ${markup}` }).click();
    await book(here, markup).waitFor({ state: "detached" });
  });

  it("had no script errors so far", () => {
    assert.deepEqual([...here.problems, ...there.problems], []);
  });

  it("says when the gateway is gone, and is in step again when it is back", async () => {
    await gateway.stop("SIGKILL");
    for (const page of [here, there]) {
      await page.locator('#badge[data-state="lost"]').waitFor();
      assert.equal(await page.getByRole("button", { name: "Add book" }).isDisabled(), true);
    }
    await screenshot(here, "books-lost");
    gateway = await startGateway(broker, gateway.port);
    await Promise.all([isLive(here), isLive(there)]);
    await addBook(here, "Emma", "Jane Austen");
    await book(there, "Emma").waitFor();
    assert.deepEqual(await titles(there), await titles(here));
  });

  it("waits for a gateway that starts later than the page", async () => {
    await gateway.stop("SIGKILL");
    const early = await openWindow(browser, service.page);
    await early.getByText("The gateway does not answer yet").waitFor();
    gateway = await startGateway(broker, gateway.port);
    await book(early, "Emma").waitFor();
    await isLive(early);
  });
});
