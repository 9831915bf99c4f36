//! Messages of clients and services, resource IDs and patterns.

use crate::runner::Runner;
use std::fmt::Write as _;
use tidegate::res::client::{self, Action};
use tidegate::res::rid::{self, Rid};
use tidegate::res::service::{self, CallResult, Data};
use tidegate::res::{Pattern, json};

pub fn run(runner: &mut Runner) {
    clients(runner);
    services(runner);
    names(runner);
}

fn clients(runner: &mut Runner) {
    let text = br#"{"id":17,"method":"subscribe.library.book.42"}"#;
    runner.op("messages/client: subscribe", text.len(), || {
        let request = client::parse(text).expect("it is a request");
        assert!(matches!(request.action, Some(Action::Subscribe(rid)) if rid == "library.book.42"));
    });
    let text = br#"{"id":18,"method":"call.library.book.42.set","params":{"title":"Coraline","year":2002}}"#;
    runner.op("messages/client: call with parameters", text.len(), || {
        let request = client::parse(text).expect("it is a request");
        assert!(matches!(request.action, Some(Action::Call(_, method)) if method == "set"));
        assert!(request.params.is_some());
    });
}

fn services(runner: &mut Runner) {
    let text = br#"{"values":{"title":"Coraline","year":2002,"author":{"rid":"library.author.7"},"stock":17}}"#;
    runner.op("messages/service: change event", text.len(), || {
        let text = json::value(text).expect("it is JSON");
        let event = service::change(text).expect("it is a change");
        assert_eq!(event.changes.len(), 4);
    });
    let text = br#"{"idx":12,"value":{"rid":"library.book.42"}}"#;
    runner.op("messages/service: add event", text.len(), || {
        let text = json::value(text).expect("it is JSON");
        assert!(matches!(service::add(text), Ok(Some(add)) if add.idx == 12));
    });
    let text = br#"{"result":{"get":true,"call":"*"}}"#;
    runner.op("messages/service: access answer", text.len(), || {
        assert!(service::access(text).is_ok_and(|access| access.get && access.allows("set")));
    });
    let text = br#"{"result":{"title":"Coraline","year":2002}}"#;
    runner.op("messages/service: call answer", text.len(), || {
        let result = service::call(text, false);
        assert!(matches!(result, Ok(CallResult::Payload(payload)) if payload.len() == 32));
    });
    let model = model(100);
    let collection = collection(100);
    for (name, text) in [
        ("messages/service: get answer, model of 100 values", model),
        (
            "messages/service: get answer, collection of 100 references",
            collection,
        ),
    ] {
        runner.op(name, text.len(), || {
            let resource = service::resource(text.as_bytes(), service::Limits::NONE)
                .expect("it is a resource");
            let length = match &resource.data {
                Data::Model(model) => model.len(),
                Data::Collection(values) => values.len(),
            };
            assert_eq!(length, 100);
        });
    }
}

fn model(length: usize) -> String {
    let mut text = String::from(r#"{"result":{"model":{"#);
    for i in 0..length {
        let comma = if i > 0 { "," } else { "" };
        let _ = write!(text, r#"{comma}"property{i}":"the value of {i}""#);
    }
    text + "}}}"
}

fn collection(length: usize) -> String {
    let mut text = String::from(r#"{"result":{"collection":["#);
    for i in 0..length {
        let comma = if i > 0 { "," } else { "" };
        let _ = write!(text, r#"{comma}{{"rid":"library.book.{i}"}}"#);
    }
    text + "]}}"
}

fn names(runner: &mut Runner) {
    let (plain, query, tagged) = (
        "library.books.summer.42",
        "library.books?from=0&count=25",
        "library.user.{cid}.basket",
    );
    runner.op("messages/resource ID", 0, || {
        assert!(Rid::parse(std::hint::black_box(plain)).is_some());
    });
    runner.op("messages/resource ID with query", 0, || {
        let rid = Rid::parse(std::hint::black_box(query)).expect("it is valid");
        assert_eq!(rid.query, Some("from=0&count=25"));
    });
    runner.op("messages/resource ID with connection ID tag", 0, || {
        let rid = rid::expand_cid(std::hint::black_box(tagged), "Qv3bD8nHsJ2kXy4LwZ5r");
        assert!(rid.ends_with("5r.basket"));
    });
    runner.op("messages/resource ID without such a tag", 0, || {
        assert!(!rid::has_cid_tag(std::hint::black_box(plain)));
    });
    runner.op("messages/read pattern", 0, || {
        assert!(Pattern::parse(std::hint::black_box("library.*.summer.>")).is_some());
    });
    let pattern = Pattern::parse("library.*.summer.>").expect("it is valid");
    runner.op("messages/match pattern", 0, || {
        assert!(pattern.matches(std::hint::black_box(plain)));
    });
}
