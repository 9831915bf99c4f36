//! Which web pages may use the API (the CORS protocol of the Fetch standard).

use super::head::Head;
use super::response::{InvalidField, ResponseWriter};

/// The HTTP methods that are mapped to RES methods, beside those that always work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MappedMethods {
    /// PUT
    pub put: bool,
    /// DELETE
    pub delete: bool,
    /// PATCH
    pub patch: bool,
}

/// The rules for requests that web pages of other origins make.
#[derive(Clone, Debug)]
pub struct Cors {
    /// Lower-cased and sorted; `None` for every origin.
    origins: Option<Vec<Box<[u8]>>>,
    methods: String,
    has_credentials: bool,
}

impl Cors {
    /// `allow_origin` is `*`, or origins `scheme://host[:port]` divided by `;`.
    /// `has_credentials` lets pages send cookies and the like.
    pub fn new(allow_origin: &str, mapped: MappedMethods, has_credentials: bool) -> Self {
        let origins = (allow_origin != "*").then(|| {
            let mut list: Vec<Box<[u8]>> = allow_origin
                .split(';')
                .map(|origin| origin.trim().to_ascii_lowercase().into_bytes().into())
                .collect();
            list.sort();
            list
        });
        let mut methods = String::from("GET, HEAD, OPTIONS, POST");
        for (is_mapped, name) in [
            (mapped.put, ", PUT"),
            (mapped.delete, ", DELETE"),
            (mapped.patch, ", PATCH"),
        ] {
            if is_mapped {
                methods.push_str(name);
            }
        }
        Self {
            origins,
            methods,
            has_credentials,
        }
    }

    /// Judges an `Origin` field. A request without one, or from a page without origin
    /// (`null`), goes on: it is not a page's business.
    pub fn judge<'a>(&'a self, origin: Option<&'a [u8]>) -> Verdict<'a> {
        let allowed = |is_forbidden, allow_origin, has_vary| Verdict {
            is_forbidden,
            allow_origin,
            has_vary,
            has_credentials: self.has_credentials,
        };
        match (&self.origins, origin) {
            (None, _) => allowed(false, Some(&b"*"[..]), false),
            (Some(_), None | Some(b"null")) => allowed(false, None, false),
            (Some(list), Some(origin)) => match contains(list, origin) {
                true => allowed(false, Some(origin), true),
                false => allowed(true, list.first().map(|first| &**first), true),
            },
        }
    }

    /// Whether a WebSocket may be opened by a page of this `Origin`.
    pub fn allows_upgrade(&self, origin: Option<&[u8]>) -> bool {
        !self.judge(origin).is_forbidden
    }

    /// Writes what an `OPTIONS` answer says beside the verdict: the methods, and every
    /// field that was asked for.
    ///
    /// # Errors
    ///
    /// If the request's own field holds what no field may; a parsed head never does.
    pub fn write_options(
        &self,
        head: &Head<'_>,
        response: &mut ResponseWriter<'_>,
    ) -> Result<(), InvalidField> {
        response.field("Access-Control-Allow-Methods", self.methods.as_bytes())?;
        let lines: Vec<&[u8]> = head.field_lines("access-control-request-headers").collect();
        if lines.is_empty() {
            return Ok(());
        }
        response.field("Access-Control-Allow-Headers", &lines.join(&b", "[..]))
    }
}

/// What [`Cors`] says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict<'a> {
    /// The request must be refused with 403, unless it is an `OPTIONS`.
    pub is_forbidden: bool,
    allow_origin: Option<&'a [u8]>,
    has_vary: bool,
    has_credentials: bool,
}

impl Verdict<'_> {
    /// Writes the fields that every answer of the API has.
    ///
    /// # Errors
    ///
    /// If the origin holds what no field may; that of a parsed head never does.
    pub fn write(&self, response: &mut ResponseWriter<'_>) -> Result<(), InvalidField> {
        if let Some(origin) = self.allow_origin {
            response.field("Access-Control-Allow-Origin", origin)?;
        }
        if self.has_vary {
            response.field("Vary", b"Origin")?;
        }
        if self.has_credentials {
            response.field("Access-Control-Allow-Credentials", b"true")?;
        }
        Ok(())
    }
}

/// Whether a lower-cased, sorted list has the origin.
fn contains(list: &[Box<[u8]>], origin: &[u8]) -> bool {
    list.binary_search_by(|item| {
        item.iter()
            .copied()
            .cmp(origin.iter().map(u8::to_ascii_lowercase))
    })
    .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::date::imf_fixdate;
    use crate::http::response::Persistence;

    fn fields(write: impl FnOnce(&mut ResponseWriter<'_>) -> Result<(), InvalidField>) -> String {
        let mut out = Vec::new();
        let mut response = ResponseWriter::new(&mut out, 200, &imf_fixdate(0), Persistence::Keep);
        write(&mut response).unwrap();
        response.empty();
        let text = String::from_utf8(out).unwrap();
        let start = text.find("GMT\r\n").unwrap() + 5;
        let end = text.find("Content-Length").unwrap();
        text[start..end].to_owned()
    }

    #[test]
    fn judges_origins() {
        const LIST: &str = "https://b.example;HTTP://A.example:81";
        let first = "Access-Control-Allow-Origin: http://a.example:81\r\nVary: Origin\r\n";
        let table = [
            ("*", None, false, "Access-Control-Allow-Origin: *\r\n"),
            (
                "*",
                Some("https://x.example"),
                false,
                "Access-Control-Allow-Origin: *\r\n",
            ),
            (
                "*",
                Some("null"),
                false,
                "Access-Control-Allow-Origin: *\r\n",
            ),
            (LIST, None, false, ""),
            (LIST, Some("null"), false, ""),
            (
                LIST,
                Some("https://B.example"),
                false,
                "Access-Control-Allow-Origin: https://B.example\r\nVary: Origin\r\n",
            ),
            (LIST, Some("http://a.example:81"), false, first),
            (LIST, Some("http://a.example"), true, first),
            (LIST, Some("https://b.example.evil"), true, first),
            (LIST, Some("https://b.exampl"), true, first),
            (LIST, Some(""), true, first),
            (LIST, Some("*"), true, first),
        ];
        for (allow, origin, is_forbidden, expected) in table {
            let cors = Cors::new(allow, MappedMethods::default(), false);
            let origin = origin.map(str::as_bytes);
            let verdict = cors.judge(origin);
            assert_eq!(verdict.is_forbidden, is_forbidden, "{allow} {origin:?}");
            assert_eq!(cors.allows_upgrade(origin), !is_forbidden);
            assert_eq!(fields(|response| verdict.write(response)), expected);

            let cors = Cors::new(allow, MappedMethods::default(), true);
            assert_eq!(
                fields(|response| cors.judge(origin).write(response)),
                format!("{expected}Access-Control-Allow-Credentials: true\r\n")
            );
        }
    }

    #[test]
    fn answers_options() {
        let answer = |put, delete, patch, request_headers: &str| {
            let cors = Cors::new("*", MappedMethods { put, delete, patch }, false);
            let text = format!("OPTIONS /api/a HTTP/1.1\r\nHost: h\r\n{request_headers}\r\n");
            let head = Head::parse(text.as_bytes()).unwrap();
            fields(|response| cors.write_options(&head, response))
        };
        let always = "Access-Control-Allow-Methods: GET, HEAD, OPTIONS, POST";
        assert_eq!(answer(false, false, false, ""), format!("{always}\r\n"));
        assert_eq!(
            answer(true, true, true, ""),
            format!("{always}, PUT, DELETE, PATCH\r\n")
        );
        assert_eq!(
            answer(
                false,
                false,
                true,
                "Access-Control-Request-Headers: x-a, x-b\r\n\
                 access-control-request-headers: X-C\r\n"
            ),
            format!("{always}, PATCH\r\nAccess-Control-Allow-Headers: x-a, x-b, X-C\r\n")
        );
    }
}
