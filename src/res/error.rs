//! The error object and the pre-defined errors (RES-Service protocol, "Error object").

use super::json;
use std::borrow::Cow;

/// What internal errors begin with that say what went wrong.
const PREFIX: &str = "Internal error: ";

/// An error as clients and services exchange it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Dot-separated code, such as `system.notFound`.
    pub code: Cow<'static, str>,
    /// A sentence for people.
    pub message: Cow<'static, str>,
    /// Further data: compact JSON.
    pub data: Option<Box<str>>,
}

macro_rules! predefined {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $message:literal;)*) => {
        $($(#[$doc])*
        pub const $name: Error = Error {
            code: Cow::Borrowed($code),
            message: Cow::Borrowed($message),
            data: None,
        };)*
    };
}

impl Error {
    predefined! {
        /// Access to a resource or method is denied.
        ACCESS_DENIED = "system.accessDenied", "Access denied";
        /// The request is not one that can be understood.
        BAD_REQUEST = "system.badRequest", "Bad request";
        /// The gateway caches as many resources as it may, and all are in use.
        CACHE_FULL = "system.serviceUnavailable", "Service unavailable: the gateway may not cache more resources";
        /// The resource was deleted.
        DELETED = "system.deleted", "Deleted";
        /// The broker does not send the events of the resource to the gateway.
        EVENTS_REFUSED = "system.internalError", "Internal error: NATS refuses the gateway the events of the resource";
        /// The client must not do this, whoever it is.
        FORBIDDEN = "system.forbidden", "Forbidden";
        /// Something went wrong that the client cannot mend.
        INTERNAL = "system.internalError", "Internal error";
        /// The parameters of the request are not valid.
        INVALID_PARAMS = "system.invalidParams", "Invalid parameters";
        /// The request is none.
        INVALID_REQUEST = "system.invalidRequest", "Invalid request";
        /// The HTTP method has no meaning for the resource.
        METHOD_NOT_ALLOWED = "system.methodNotAllowed", "Method not allowed";
        /// The method does not exist.
        METHOD_NOT_FOUND = "system.methodNotFound", "Method not found";
        /// The resource does not exist, or nobody serves it.
        NOT_FOUND = "system.notFound", "Not found";
        /// Nobody has made this yet.
        NOT_IMPLEMENTED = "system.notImplemented", "Not implemented";
        /// The client has no such direct subscription.
        NO_SUBSCRIPTION = "system.noSubscription", "No subscription";
        /// The gateway is stopping.
        SERVICE_UNAVAILABLE = "system.serviceUnavailable", "Service unavailable";
        /// Too many direct subscriptions of one resource.
        SUBSCRIPTION_LIMIT = "system.subscriptionLimitExceeded", "Subscription limit exceeded";
        /// The subject of the request is longer than the broker takes.
        SUBJECT_TOO_LONG = "system.subjectTooLong", "Subject too long";
        /// No service answered in time.
        TIMEOUT = "system.timeout", "Request timeout";
        /// The resource has more values or bytes than the gateway takes.
        TOO_LARGE = "system.internalError", "Internal error: the resource is too large";
        /// The client's protocol version cannot be served.
        UNSUPPORTED_PROTOCOL = "system.unsupportedProtocol", "Unsupported protocol";
    }

    /// An internal error that says what went wrong.
    pub fn internal(what: impl std::fmt::Display) -> Self {
        Self {
            message: Cow::Owned(format!("{PREFIX}{what}")),
            ..Self::INTERNAL
        }
    }

    /// The client sends requests faster than it may. Services that limit rates answer with
    /// the same code and data.
    pub fn too_active(seconds: u64) -> Self {
        Self {
            code: Cow::Borrowed("common.tooActive"),
            message: Cow::Borrowed("Too many requests"),
            data: Some(format!("{{\"seconds\":{seconds}}}").into()),
        }
    }

    /// The error of an HTTP body that is no JSON value.
    pub fn bad_body(what: impl std::fmt::Display) -> Self {
        Self {
            code: Cow::Borrowed("system.badRequest"),
            message: Cow::Owned(format!("Error decoding request body: {what}")),
            data: None,
        }
    }

    /// Whether it has a code.
    pub fn is(&self, other: &Self) -> bool {
        self.code == other.code
    }

    /// Appends the error object as JSON.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"code\":");
        json::write_string(&self.code, out);
        out.extend_from_slice(b",\"message\":");
        json::write_string(&self.message, out);
        if let Some(data) = &self.data {
            out.extend_from_slice(b",\"data\":");
            json::write_escaped(data, out);
        }
        out.push(b'}');
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Of values that cannot be read, clients know the prefix twice.
        let mut message = &*self.message;
        while let Some(rest) = message.strip_prefix(PREFIX)
            && rest.starts_with(PREFIX)
        {
            message = rest;
        }
        write!(f, "{message} ({})", self.code)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_the_prefix_once() {
        let twice = Error::internal("Internal error: invalid value");
        assert_eq!(
            twice.message,
            "Internal error: Internal error: invalid value"
        );
        let shown = "Internal error: invalid value (system.internalError)";
        assert_eq!(twice.to_string(), shown);
        assert_eq!(Error::internal("invalid value").to_string(), shown);
        assert_eq!(Error::NOT_FOUND.to_string(), "Not found (system.notFound)");
    }
}
