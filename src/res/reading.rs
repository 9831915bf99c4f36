//! Resources and change events that are too large to be read in one turn. What is read is
//! what [`service`] reads in one go.

use super::Error;
use super::json::{JsonError, Raw, Walk};
use super::order::Sorter;
use super::service::{self, ChangeEvent, Data, Limits, Unread};
use super::text::Text;
use super::value::{self, Change, Value, ValueError};
use std::ops::Range;
use std::vec::IntoIter;

/// Steps that reading a value costs, or a member of an object: it is found, kept, and moved.
const VALUE: usize = 3;
const MEMBER: usize = 5;

/// Bytes that are walked over in one step.
const WALKED: usize = 64;

/// A property, whose value may be none.
type Property = (Text, Result<Change, Box<ValueError>>);

/// A change event that is being read.
#[derive(Debug)]
pub struct ChangeReading {
    text: Box<str>,
    stage: ChangeStage,
    is_old: bool,
}

#[derive(Debug)]
enum ChangeStage {
    /// The properties are looked for: how many members were seen, and the last one that may
    /// have them.
    Finding {
        walk: Walk,
        members: usize,
        values: Option<Range<usize>>,
    },
    Reading(Range<usize>, Box<Members>),
    Moving(IntoIter<Property>, Vec<(Text, Change)>),
}

/// A resource that is being read.
#[derive(Debug)]
pub struct ResourceReading {
    text: Box<str>,
    /// Its normalised query.
    pub query: Box<str>,
    most: usize,
    stage: ResourceStage,
}

#[derive(Debug)]
enum ResourceStage {
    Model(Box<Members>),
    Properties(IntoIter<Property>, Vec<(Text, Value)>, bool),
    Collection(Walk, Values),
}

/// The values of a collection so far.
#[derive(Debug, Default)]
struct Values {
    values: Vec<Value>,
    error: Option<Box<ValueError>>,
    has_action: bool,
}

/// Members of an object that are being read.
#[derive(Debug, Default)]
struct Members {
    walk: Walk,
    seen: usize,
    are_read: bool,
    sorter: Sorter<Result<Change, Box<ValueError>>>,
}

/// Why the members of an object are not read.
enum Refused {
    TooMany,
    Json(JsonError),
}

impl Members {
    /// Goes on; the properties in order when all are read.
    fn go_on(
        &mut self,
        text: Raw<'_>,
        most: usize,
        steps: &mut usize,
    ) -> Result<Option<Vec<Property>>, Refused> {
        while !self.are_read && *steps > 0 {
            let Some((name, raw)) = self.walk.member(text).map_err(Refused::Json)? else {
                self.are_read = true;
                break;
            };
            self.seen += 1;
            if self.seen > most {
                return Err(Refused::TooMany);
            }
            let change = value::parse_change(raw).map_err(Box::new);
            self.sorter.push(Text::from(&*name), change);
            *steps = steps.saturating_sub(MEMBER + raw.len() / WALKED);
        }
        Ok(match self.are_read {
            true => self.sorter.finish(steps),
            false => None,
        })
    }
}

impl ChangeReading {
    /// Begins to read a payload that [`value`](super::json::value) has accepted.
    pub fn new(payload: Raw<'_>) -> Self {
        Self {
            text: payload.into(),
            stage: ChangeStage::Finding {
                walk: Walk::default(),
                members: 0,
                values: None,
            },
            is_old: false,
        }
    }

    /// Goes on for so many steps, which it counts down; what was read when that is done.
    pub fn go_on(&mut self, steps: &mut usize) -> Option<Result<ChangeEvent, ValueError>> {
        self.try_to_go_on(steps).transpose()
    }

    fn try_to_go_on(&mut self, steps: &mut usize) -> Result<Option<ChangeEvent>, ValueError> {
        while *steps > 0 {
            match &mut self.stage {
                ChangeStage::Finding {
                    walk,
                    members,
                    values,
                } => match walk.member(&self.text)? {
                    Some((name, raw)) => {
                        *members += 1;
                        if name == "values" && raw.starts_with('{') {
                            *values = Some(walk.end() - raw.len()..walk.end());
                        }
                        *steps = steps.saturating_sub(1 + raw.len() / WALKED);
                    }
                    None => {
                        let (members, values) = (*members, values.take());
                        self.found(members, values);
                    }
                },
                ChangeStage::Reading(range, members) => {
                    let text = &self.text[range.clone()];
                    let read = members.go_on(text, usize::MAX, steps);
                    let read = read.map_err(|refused| match refused {
                        Refused::Json(error) => ValueError::Json(error),
                        Refused::TooMany => ValueError::Json(service::TOO_MANY),
                    })?;
                    let Some(properties) = read else {
                        return Ok(None);
                    };
                    let changes = Vec::with_capacity(properties.len());
                    self.stage = ChangeStage::Moving(properties.into_iter(), changes);
                }
                ChangeStage::Moving(properties, changes) => {
                    for (name, change) in properties.by_ref().take(*steps) {
                        changes.push((name, change.map_err(|error| *error)?));
                        *steps -= 1;
                    }
                    if properties.len() == 0 {
                        let (changes, is_old) = (std::mem::take(changes), self.is_old);
                        return Ok(Some(ChangeEvent { changes, is_old }));
                    }
                }
            }
        }
        Ok(None)
    }

    /// All members of the payload were seen.
    fn found(&mut self, members: usize, values: Option<Range<usize>>) {
        let is_value = |range: &Range<usize>| value::parse_change(&self.text[range.clone()]);
        let current = values.filter(|range| members == 1 || is_value(range).is_err());
        self.is_old = current.is_none() && members > 0;
        let range = current.unwrap_or(0..self.text.len());
        self.stage = ChangeStage::Reading(range, Box::default());
    }
}

impl ResourceReading {
    /// Begins to read a get answer.
    ///
    /// # Errors
    /// When it is an error, has no resource, or one that is too large.
    pub fn new(payload: &[u8], limits: Limits) -> Result<Self, Unread> {
        let found = service::resource_text(payload, limits)?;
        Ok(Self {
            text: found.text.into(),
            query: found.query.into(),
            most: limits.entries,
            stage: match found.is_model {
                true => ResourceStage::Model(Box::default()),
                false => ResourceStage::Collection(Walk::default(), Values::default()),
            },
        })
    }

    /// Goes on for so many steps, which it counts down; what was read when that is done.
    pub fn go_on(&mut self, steps: &mut usize) -> Option<Result<Data, Unread>> {
        self.try_to_go_on(steps).transpose()
    }

    fn try_to_go_on(&mut self, steps: &mut usize) -> Result<Option<Data>, Unread> {
        while *steps > 0 {
            match &mut self.stage {
                ResourceStage::Model(members) => {
                    let read = members.go_on(&self.text, self.most, steps);
                    let read = read.map_err(|refused| match refused {
                        Refused::TooMany => Unread::TooLarge,
                        Refused::Json(error) => service::value_error(error.into()).into(),
                    })?;
                    let Some(properties) = read else {
                        return Ok(None);
                    };
                    let model = Vec::with_capacity(properties.len());
                    self.stage = ResourceStage::Properties(properties.into_iter(), model, false);
                }
                ResourceStage::Properties(properties, model, has_action) => {
                    for (name, change) in properties.by_ref().take(*steps) {
                        *steps -= 1;
                        match change.map_err(|error| service::value_error(*error))? {
                            Change::Set(value) => model.push((name, value)),
                            Change::Delete => *has_action = true,
                        }
                    }
                    if properties.len() == 0 {
                        return match has_action {
                            true => Err(service::action_as_value().into()),
                            false => Ok(Some(Data::Model(std::mem::take(model)))),
                        };
                    }
                }
                ResourceStage::Collection(walk, so_far) => {
                    let Some(raw) = walk.item(&self.text).map_err(Error::internal)? else {
                        return std::mem::take(so_far).end().map(Some);
                    };
                    if so_far.values.len() >= self.most {
                        return Err(Unread::TooLarge);
                    }
                    so_far.take(raw);
                    *steps = steps.saturating_sub(VALUE + raw.len() / WALKED);
                }
            }
        }
        Ok(None)
    }
}

impl Values {
    fn take(&mut self, raw: Raw<'_>) {
        match value::parse(raw) {
            Ok(Some(value)) => self.values.push(value),
            Ok(None) => self.has_action = true,
            Err(error) => self.error = self.error.take().or(Some(Box::new(error))),
        }
    }

    fn end(self) -> Result<Data, Unread> {
        match self.error {
            Some(error) => Err(service::value_error(*error).into()),
            None if self.has_action => Err(service::action_as_value().into()),
            None => Ok(Data::Collection(self.values)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAYLOADS: [&str; 22] = [
        r#"{"values":{"a":1,"b":"x","a":{"rid":"x.y"}}}"#,
        r#"{"values":{"b":1,"c":{"action":"delete"},"a":{"data":[1]}}}"#,
        r#"{"values":{}}"#,
        r#"{"values":{"a":1},"b":2}"#,
        r#"{"values":{"rid":"a.b"},"b":2}"#,
        r#"{"values":1,"b":2}"#,
        r#"{"b":2,"a":1}"#,
        r#"{}"#,
        r#"[]"#,
        r#"null"#,
        r#"{"values":{"a":[1],"b":1,"a":2}}"#,
        r#"{"values":{"b":{"rid":""},"a":[1]}}"#,
        r#"{"values":{"a":1,"\ud800":2}}"#,
        r#"{"result":{"model":{"b":1,"a":"x","b":{"rid":"x.y"}},"query":"q=1"}}"#,
        r#"{"result":{"model":{"b":1,"a":{"action":"delete"},"c":[1]}}}"#,
        r#"{"result":{"model":{"a":{"action":"delete"},"b":1}}}"#,
        r#"{"result":{"model":{"a":1,"b":2,"c":3,"d":4,"e":5}}}"#,
        r#"{"result":{"collection":["a",{"rid":"x"},null,{"data":{}}]}}"#,
        r#"{"result":{"collection":[1,2,3,4,5,6]}}"#,
        r#"{"result":{"collection":[1,[2],{"a":3}]}}"#,
        r#"{"result":{"collection":[1,{"action":"delete"}]}}"#,
        r#"{"result":{"collection":[]}}"#,
    ];

    #[test]
    fn what_is_read_in_parts_is_what_is_read_in_one_go() {
        let limits = Limits {
            entries: 4,
            bytes: 60,
        };
        for payload in PAYLOADS {
            for size in [1, 2, 7, 1_000] {
                if !payload.contains("result") {
                    let mut reading = ChangeReading::new(payload);
                    let read = std::iter::repeat_with(|| reading.go_on(&mut size.clone()));
                    let read = read.take(1_000).flatten().next().unwrap();
                    assert_eq!(read, service::change(payload), "{payload}");
                    continue;
                }
                let read = ResourceReading::new(payload.as_bytes(), limits);
                let read = read.and_then(|mut reading| {
                    let data = std::iter::repeat_with(|| reading.go_on(&mut size.clone()));
                    let data = data.take(1_000).flatten().next().unwrap()?;
                    let query = reading.query;
                    Ok(service::Resource { data, query })
                });
                let expected = service::resource(payload.as_bytes(), limits);
                assert_eq!(read, expected, "{payload}");
            }
        }
    }

    #[test]
    fn each_part_does_as_much_as_it_may() {
        let members = (0..2_000).map(|n| format!(r#""m{}":{n}"#, n * 7_919 % 2_000));
        let payload = format!(r#"{{"values":{{{}}}}}"#, Vec::from_iter(members).join(","));
        let (mut reading, mut parts) = (ChangeReading::new(&payload), 0);
        let read = loop {
            let mut steps = 100;
            parts += 1;
            if let Some(read) = reading.go_on(&mut steps) {
                break read;
            }
            assert_eq!(steps, 0);
        };
        assert!(parts >= MEMBER * 2_000 / 100, "{parts}");
        assert_eq!(read, service::change(&payload));
    }
}
