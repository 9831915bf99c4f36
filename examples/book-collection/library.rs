//! The library: its state, and what its methods answer and announce. It knows
//! nothing of NATS.

use serde_json::{Map, Value, json};

/// Books in the order in which clients see them.
pub struct Library {
    books: Vec<Book>,
    next_id: u64,
}

struct Book {
    id: u64,
    title: String,
    author: String,
}

/// An event to publish: on which resource, which kind, and its payload.
pub struct Event {
    pub resource: String,
    pub kind: &'static str,
    pub payload: Value,
}

/// Why a request fails; becomes a RES error object.
pub enum Failure {
    /// There is no such book.
    NotFound,
    /// The resource has no such method.
    MethodNotFound,
    /// The parameters are wrong, in the words for the user.
    InvalidParams(String),
}

impl Failure {
    /// The error object, RES-Service protocol, "Error object".
    pub fn to_json(&self) -> Value {
        let (code, message) = match self {
            Failure::NotFound => ("system.notFound", "Not found"),
            Failure::MethodNotFound => ("system.methodNotFound", "Method not found"),
            Failure::InvalidParams(message) => ("system.invalidParams", message.as_str()),
        };
        json!({ "code": code, "message": message })
    }
}

impl Library {
    /// Three books to begin with.
    pub fn new() -> Library {
        let mut library = Library {
            books: Vec::new(),
            next_id: 1,
        };
        for (title, author) in [
            ("Animal Farm", "George Orwell"),
            ("Brave New World", "Aldous Huxley"),
            ("Coraline", "Neil Gaiman"),
        ] {
            library.push(title, author);
        }
        library
    }

    /// The content of a resource: `library.books` is a collection of references,
    /// `library.book.<id>` a model.
    pub fn get(&self, resource: &str) -> Result<Value, Failure> {
        if resource == "library.books" {
            let books: Vec<_> = self.books.iter().map(Book::reference).collect();
            return Ok(json!({ "collection": books }));
        }
        let book = &self.books[self.find(resource)?];
        let model = json!({ "id": book.id, "title": book.title, "author": book.author });
        Ok(json!({ "model": model }))
    }

    /// Calls a method. On success there may be an event to publish before the answer.
    pub fn call(
        &mut self,
        resource: &str,
        method: &str,
        params: &Value,
    ) -> Result<Option<Event>, Failure> {
        match (resource, method) {
            ("library.books", "new") => self.add(params).map(Some),
            ("library.books", "delete") => self.remove(params),
            ("library.books", _) => Err(Failure::MethodNotFound),
            (_, "set") => self.set(resource, params),
            _ => self.find(resource).and(Err(Failure::MethodNotFound)),
        }
    }

    fn add(&mut self, params: &Value) -> Result<Event, Failure> {
        let text = |field: &str| {
            params[field]
                .as_str()
                .filter(|text| !text.trim().is_empty())
        };
        let (Some(title), Some(author)) = (text("title"), text("author")) else {
            return Err(Failure::InvalidParams(
                "Must provide both title and author".into(),
            ));
        };
        let idx = self.books.len();
        let book = self.push(title, author);
        let payload = json!({ "value": book.reference(), "idx": idx });
        Ok(Event {
            resource: "library.books".into(),
            kind: "add",
            payload,
        })
    }

    fn remove(&mut self, params: &Value) -> Result<Option<Event>, Failure> {
        if !params["id"].is_number() {
            return Err(Failure::InvalidParams("Book ID must be a number".into()));
        }
        // Deleting what is gone already is a success: two windows may press at once.
        let id = params["id"].as_u64();
        let Some(idx) = self.books.iter().position(|book| Some(book.id) == id) else {
            return Ok(None);
        };
        self.books.remove(idx);
        let payload = json!({ "idx": idx });
        Ok(Some(Event {
            resource: "library.books".into(),
            kind: "remove",
            payload,
        }))
    }

    fn set(&mut self, resource: &str, params: &Value) -> Result<Option<Event>, Failure> {
        let index = self.find(resource)?;
        let book = &mut self.books[index];
        let title = new_text("Title", &params["title"], &book.title)?;
        let author = new_text("Author", &params["author"], &book.author)?;

        let mut values = Map::new();
        if let Some(title) = title {
            book.title = title.clone();
            values.insert("title".into(), title.into());
        }
        if let Some(author) = author {
            book.author = author.clone();
            values.insert("author".into(), author.into());
        }
        if values.is_empty() {
            return Ok(None);
        }
        let payload = json!({ "values": values });
        Ok(Some(Event {
            resource: resource.into(),
            kind: "change",
            payload,
        }))
    }

    fn push(&mut self, title: &str, author: &str) -> &Book {
        let index = self.books.len();
        let book = Book {
            id: self.next_id,
            title: title.into(),
            author: author.into(),
        };
        self.next_id += 1;
        self.books.push(book);
        &self.books[index]
    }

    fn find(&self, resource: &str) -> Result<usize, Failure> {
        resource
            .strip_prefix("library.book.")
            // Compared as text, so that `01` is not another name of book 1.
            .and_then(|id| self.books.iter().position(|book| book.id.to_string() == id))
            .ok_or(Failure::NotFound)
    }
}

impl Book {
    fn reference(&self) -> Value {
        json!({ "rid": format!("library.book.{}", self.id) })
    }
}

/// The new value of a field, or `None` if it is absent or stays as it is.
fn new_text(field: &str, value: &Value, old: &str) -> Result<Option<String>, Failure> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text == old => Ok(None),
        Value::String(text) if text.trim().is_empty() => {
            Err(Failure::InvalidParams(format!("{field} must not be empty")))
        }
        Value::String(text) => Ok(Some(text.clone())),
        _ => Err(Failure::InvalidParams(format!("{field} must be a string"))),
    }
}
