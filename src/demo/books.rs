//! Books on a shelf: a collection of references to models.

use super::post::{Answer, Post, quoted, reference};
use super::request::{Request, line};
use super::{NO_METHOD, NOT_FOUND, Refusal};

/// Most books on the shelf, and most that are kept of those taken off it.
const BOOKS_MAX: usize = 40;
const REMOVED_MAX: usize = 20;

/// Most characters of a title, and of an author.
const TEXT_MAX: usize = 80;

const INCOMPLETE: Refusal = (
    "system.invalidParams",
    "Title and author must be one to 80 characters each",
);
const FULL: Refusal = ("demo.shelfFull", "The shelf is full: delete a book first");

const FIRST: [(&str, &str); 4] = [
    ("Moby-Dick", "Herman Melville"),
    ("To the Lighthouse", "Virginia Woolf"),
    ("Treasure Island", "Robert Louis Stevenson"),
    ("The Voyage Out", "Virginia Woolf"),
];

#[derive(Debug)]
struct Book {
    id: u64,
    title: String,
    author: String,
}

/// A book that was taken off the shelf.
#[derive(Debug)]
struct Removed {
    book: Book,
    /// Where it stood, and behind which.
    place: usize,
    behind: Option<u64>,
}

/// The shelf.
#[derive(Debug)]
pub(super) struct Books {
    books: Vec<Book>,
    removed: Vec<Removed>,
    last_id: u64,
}

impl Books {
    pub(super) fn new() -> Self {
        let books = (1..).zip(FIRST).map(|(id, (title, author))| Book {
            id,
            title: title.into(),
            author: author.into(),
        });
        Self {
            books: books.collect(),
            removed: Vec::new(),
            last_id: FIRST.len() as u64,
        }
    }

    fn place(&self, id: u64) -> Option<usize> {
        self.books.iter().position(|book| book.id == id)
    }

    /// The place of the book that a resource is.
    fn place_of(&self, resource: &str) -> Option<usize> {
        let id = resource.strip_prefix("book.")?.parse().ok()?;
        self.place(id)
    }

    pub(super) fn get(&self, resource: &str) -> Result<Answer, Refusal> {
        if resource == "books" {
            let books = self.books.iter();
            let references: Vec<String> = books.map(|book| reference(&name(book.id))).collect();
            return Ok(Answer::collection(&references));
        }
        let place = self.place_of(resource).ok_or(NOT_FOUND)?;
        let Book { id, title, author } = &self.books[place];
        let (title, author) = (quoted(title), quoted(author));
        let model = format!(r#"{{"id":{id},"title":{title},"author":{author}}}"#);
        Ok(Answer::model(&model))
    }

    pub(super) fn call(
        &mut self,
        resource: &str,
        method: &str,
        request: &Request,
        post: &mut Post,
    ) -> Result<Answer, Refusal> {
        match (resource, method) {
            ("books", "add") => self.add(request, post),
            ("books", "delete") => self.delete(request, post),
            ("books", "restore") => self.restore(request, post),
            ("books", _) => Err(NO_METHOD),
            (_, "set") => {
                let place = self.place_of(resource).ok_or(NOT_FOUND)?;
                self.set(place, request, post)
            }
            _ => Err(NO_METHOD),
        }
    }

    fn add(&mut self, request: &Request, post: &mut Post) -> Result<Answer, Refusal> {
        let (title, author) = (text(request, "title")?, text(request, "author")?);
        self.last_id += 1;
        let id = self.last_id;
        let book = Book { id, title, author };
        self.insert(self.books.len(), book, post)
    }

    fn insert(&mut self, place: usize, book: Book, post: &mut Post) -> Result<Answer, Refusal> {
        if self.books.len() >= BOOKS_MAX {
            return Err(FULL);
        }
        let name = name(book.id);
        self.books.insert(place, book);
        post.add("books", place, &reference(&name));
        Ok(Answer::Resource(name))
    }

    fn delete(&mut self, request: &Request, post: &mut Post) -> Result<Answer, Refusal> {
        let id = request.number("id");
        let place = id.and_then(|id| self.place(id)).ok_or(NOT_FOUND)?;
        let book = self.books.remove(place);
        post.remove("books", place);
        if self.removed.len() == REMOVED_MAX {
            self.removed.remove(0);
        }
        let behind = place.checked_sub(1).map(|place| self.books[place].id);
        self.removed.push(Removed {
            book,
            place,
            behind,
        });
        Ok(Answer::done())
    }

    /// Puts a book back: behind the one that it stood behind, if that is still there.
    fn restore(&mut self, request: &Request, post: &mut Post) -> Result<Answer, Refusal> {
        if self.books.len() >= BOOKS_MAX {
            return Err(FULL);
        }
        let id = request.number("id");
        let mut removed = self.removed.iter();
        let found = removed.position(|removed| Some(removed.book.id) == id);
        let removed = self.removed.remove(found.ok_or(NOT_FOUND)?);
        let behind = removed.behind.and_then(|id| self.place(id));
        let place = match behind {
            Some(place) => place + 1,
            None => removed.place.min(self.books.len()),
        };
        self.insert(place, removed.book, post)
    }

    fn set(&mut self, place: usize, request: &Request, post: &mut Post) -> Result<Answer, Refusal> {
        let book = &mut self.books[place];
        // Both are looked at before either is set.
        let read = |field, old: &String| match request.text(field) {
            Some(_) => text(request, field),
            None => Ok(old.clone()),
        };
        let title = read("title", &book.title)?;
        let author = read("author", &book.author)?;
        (book.title, book.author) = (title, author);
        let (title, author) = (quoted(&book.title), quoted(&book.author));
        let values = format!(r#"{{"title":{title},"author":{author}}}"#);
        post.change(&name(book.id), &values);
        Ok(Answer::done())
    }
}

/// A parameter that is a title or an author.
#[inline(never)]
fn text(request: &Request, name: &str) -> Result<String, Refusal> {
    let text = line(request.text(name), TEXT_MAX);
    text.map(str::to_owned).ok_or(INCOMPLETE)
}

fn name(id: u64) -> String {
    format!("book.{id}")
}
