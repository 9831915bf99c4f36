//! Who may connect, from the JSON of the configuration.

use std::fmt::Display;
use std::rc::Rc;

use serde_json::{Map, Value};

use super::permissions::{Answers, Permissions, Rule, is_permission};

/// Users of a broker, and patterns of one list, at most.
pub(crate) const USERS_MAX: usize = 1_000;
pub(crate) const PATTERNS_MAX: usize = 100;

/// What nats-server allows for an answer if it is not told.
const ANSWERS: Answers = Answers {
    max: 1,
    time: 120_000,
};

/// How a user shows who it is.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// By a name and a password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// By a token.
    Token(String),
}

impl Secret {
    /// Whether this is what was shown.
    pub(super) fn fits(&self, user: &str, password: &str, token: &str) -> bool {
        match self {
            Secret::Password {
                user: name,
                password: word,
            } => is_equal(name, user) & is_equal(word, password),
            Secret::Token(word) => is_equal(word, token),
        }
    }
}

/// Says nothing: it is secret.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").finish_non_exhaustive()
    }
}

/// Who may connect.
#[derive(Clone, Default)]
pub struct Users {
    users: Vec<(Secret, Rc<Permissions>)>,
}

/// Says how many there are: the rest is secret.
impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Users")
            .field("len", &self.users.len())
            .finish_non_exhaustive()
    }
}

impl Users {
    /// Reads a JSON list of users.
    ///
    /// # Errors
    ///
    /// What is wrong with it, without what is secret.
    pub fn parse(json: &str) -> Result<Self, String> {
        let list: Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let Value::Array(list) = list else {
            return Err("must be a list of users in brackets".to_owned());
        };
        if list.len() > USERS_MAX {
            return Err(format!(
                "more than {USERS_MAX} users: use a nats-server for so many"
            ));
        }
        let mut users: Vec<(Secret, Rc<Permissions>)> = Vec::new();
        for (index, item) in list.into_iter().enumerate() {
            let at = |error: String| format!("user {}: {error}", index + 1);
            let (secret, permissions) = user(item).map_err(at)?;
            let is_same = |other: &Secret| match (other, &secret) {
                (Secret::Password { user: a, .. }, Secret::Password { user: b, .. }) => a == b,
                (a, b) => *a == *b,
            };
            if users.iter().any(|(other, _)| is_same(other)) {
                return Err(at("is there twice".to_owned()));
            }
            users.push((secret, Rc::new(permissions)));
        }
        Ok(Self { users })
    }

    /// Whether anybody may connect.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// The rights of whoever shows these.
    pub(super) fn find(&self, user: &str, password: &str, token: &str) -> Option<Rc<Permissions>> {
        let mut found = None;
        // All are compared, so that the time does not tell how far it got.
        for (secret, permissions) in &self.users {
            if secret.fits(user, password, token) {
                found = Some(permissions);
            }
        }
        found.cloned()
    }
}

/// Compares without telling by the time where the difference is.
fn is_equal(ours: &str, theirs: &str) -> bool {
    let differences = ours.bytes().zip(theirs.bytes());
    let sum = differences.fold(0, |sum, (a, b)| sum | (a ^ b));
    ours.len() == theirs.len() && sum == 0
}

fn user(item: Value) -> Result<(Secret, Permissions), String> {
    let Value::Object(mut members) = item else {
        return Err("must be an object with user and password, or with token".to_owned());
    };
    let mut text = |name: &str| match members.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
        Some(_) => Err(format!("\"{name}\" must be a text in quotes, not empty")),
    };
    let secret = match (text("user")?, text("password")?, text("token")?) {
        (Some(user), Some(password), None) => Secret::Password { user, password },
        (None, None, Some(token)) => Secret::Token(token),
        _ => return Err("needs \"user\" and \"password\", or \"token\" alone".to_owned()),
    };
    if let Secret::Password { password, .. } | Secret::Token(password) = &secret
        && ["$2a$", "$2b$", "$2x$", "$2y$"]
            .iter()
            .any(|head| password.starts_with(head))
    {
        return Err(format!(
            "the password is hashed by bcrypt, which the broker inside does not know; write it \
             in plain text, or {}",
            advice("for hashed ones")
        ));
    }
    let permissions = match members.remove("permissions") {
        None | Some(Value::Null) => Permissions::default(),
        Some(Value::Object(members)) => permissions(members)?,
        Some(_) => return Err("\"permissions\" must be an object".to_owned()),
    };
    nothing_else(&members)?;
    Ok((secret, permissions))
}

fn permissions(mut members: Map<String, Value>) -> Result<Permissions, String> {
    let mut of = |name: &str| match members.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => rule(value)
            .map(Some)
            .map_err(|error| format!("\"{name}\": {error}")),
    };
    let (publish, subscribe) = (of("publish")?, of("subscribe")?);
    let answers = match members.remove("allowResponses") {
        None | Some(Value::Null | Value::Bool(false)) => None,
        Some(Value::Bool(true)) => Some(ANSWERS),
        Some(Value::Object(members)) => Some(answers(members)?),
        Some(_) => {
            return Err(
                "\"allowResponses\" must be true, false, or an object with \"max\" and \
                        \"expires\""
                    .to_owned(),
            );
        }
    };
    nothing_else(&members)?;
    let mut publish = publish.unwrap_or_default();
    if answers.is_some() && publish.allow.is_none() {
        // Who may answer may do no more, unless it is said.
        publish.allow = Some(Vec::new());
    }
    Ok(Permissions {
        publish,
        subscribe: subscribe.unwrap_or_default(),
        answers,
    })
}

fn answers(mut members: Map<String, Value>) -> Result<Answers, String> {
    let mut number = |name: &str, default| match members.remove(name) {
        None | Some(Value::Null) => Ok(default),
        Some(value) => value
            .as_u64()
            .ok_or_else(|| format!("\"{name}\" must be a whole number, 0 for no limit")),
    };
    let answers = Answers {
        max: number("max", ANSWERS.max)?,
        time: number("expires", ANSWERS.time)?,
    };
    nothing_else(&members)?;
    Ok(answers)
}

fn rule(value: Value) -> Result<Rule, String> {
    match value {
        Value::Object(mut members) => {
            let mut list = |name| members.remove(name).filter(|value| !value.is_null());
            let (allow, deny) = (list("allow"), list("deny"));
            nothing_else(&members)?;
            Ok(Rule {
                allow: allow.map(patterns).transpose()?,
                deny: deny.map(patterns).transpose()?.unwrap_or_default(),
            })
        }
        value => Ok(Rule {
            allow: Some(patterns(value)?),
            deny: Vec::new(),
        }),
    }
}

/// A pattern, or a list of them.
fn patterns(value: Value) -> Result<Vec<Box<[u8]>>, String> {
    let list = match value {
        Value::Array(list) => list,
        one => vec![one],
    };
    if list.len() > PATTERNS_MAX {
        return Err(format!(
            "more than {PATTERNS_MAX} subjects in a list: use wildcards"
        ));
    }
    let pattern = |value| match value {
        Value::String(text) if is_permission(&text) => Ok(text.into_bytes().into()),
        other => Err(format!(
            "{other} is not a subject; give texts like \"event.>\", without queue groups"
        )),
    };
    list.into_iter().map(pattern).collect()
}

/// Members that nobody took.
fn nothing_else(members: &Map<String, Value>) -> Result<(), String> {
    let Some(name) = members.keys().next() else {
        return Ok(());
    };
    let what = format!("\"{name}\" is not known to the broker inside");
    match name.as_str() {
        "account" | "nkey" | "jwt" | "accounts" | "imports" | "exports" | "mappings" => {
            Err(format!("{what}; {}", advice("for it")))
        }
        _ => Err(format!("{what}; leave it out")),
    }
}

/// Where there is what is not here.
pub(super) fn advice(what: impl Display) -> String {
    format!("use a nats-server {what}, with --nats in place of --broker")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_show_a_password_or_a_token() {
        let users = Users::parse(
            r#"[{"user":"a","password":"p"},{"token":"t","permissions":{"publish":"x.>"}}]"#,
        )
        .expect("valid");
        for (user, password, token, is_found) in [
            ("a", "p", "", true),
            ("a", "p", "t", true),
            ("", "", "t", true),
            ("a", "", "", false),
            ("a", "pp", "", false),
            ("b", "p", "", false),
            ("", "", "", false),
            ("", "", "tt", false),
        ] {
            let found = users.find(user, password, token).is_some();
            assert_eq!(found, is_found, "{user} {password} {token}");
        }
        let rights = users.find("", "", "t").expect("there");
        assert!(!rights.is_all() && rights.publish.allows(b"x.y"));
        assert!(!format!("{users:?}").contains("\"p\""));
    }

    #[test]
    fn who_may_answer_may_do_no_more() {
        let json = r#"[{"token":"t","permissions":{"allowResponses":{"max":3}}}]"#;
        let users = Users::parse(json).expect("valid");
        let rights = users.find("", "", "t").expect("there");
        assert_eq!(rights.publish.allow, Some(Vec::new()));
        let answers = Answers {
            max: 3,
            time: 120_000,
        };
        assert_eq!(rights.answers, Some(answers));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (json, words) in [
            ("{}", "must be a list"),
            ("[1]", "user 1: must be an object"),
            (r#"[{"user":"a"}]"#, "needs \"user\" and \"password\""),
            (r#"[{"user":"a","password":"p","token":"t"}]"#, "needs"),
            (r#"[{"user":"","password":"p"}]"#, "not empty"),
            (r#"[{"token":"t"},{"token":"t"}]"#, "user 2: is there twice"),
            (r#"[{"token":"$2a$x"}]"#, "bcrypt"),
            (
                r#"[{"token":"t","account":"x"}]"#,
                "use a nats-server for it",
            ),
            (r#"[{"token":"t","colour":"x"}]"#, "leave it out"),
            (
                r#"[{"token":"t","permissions":{"publish":["a b"]}}]"#,
                "not a subject",
            ),
            (
                r#"[{"token":"t","permissions":{"publish":{"allow":">.a"}}}]"#,
                "not a subject",
            ),
            (
                r#"[{"token":"t","permissions":{"allowResponses":1}}]"#,
                "must be true",
            ),
            (
                r#"[{"token":"t","permissions":{"allowResponses":{"max":-1}}}]"#,
                "whole number",
            ),
        ] {
            let error = Users::parse(json).expect_err(json);
            assert!(error.contains(words), "{json}: {error}");
        }
    }
}
