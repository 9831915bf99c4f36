//! The texts that clients are sent.

/// An answer with nothing new in it.
pub fn nothing_new(id: u64) -> String {
    format!(r#"{{"result":{{}},"id":{id}}}"#)
}

/// The event that ends direct subscriptions, for want of access.
pub fn access_lost(rid: &str) -> String {
    format!(
        r#"{{"event":"{rid}.unsubscribe","data":{{"reason":{{"code":"system.accessDenied","message":"Access denied"}}}}}}"#
    )
}

/// The event that ends direct subscriptions of what was deleted.
pub fn deleted(rid: &str) -> String {
    format!(
        r#"{{"event":"{rid}.unsubscribe","data":{{"reason":{{"code":"system.deleted","message":"Deleted"}}}}}}"#
    )
}

/// The answer to a request that failed.
pub fn error(id: u64, code: &str, message: &str) -> String {
    format!(r#"{{"error":{{"code":"{code}","message":"{message}"}},"id":{id}}}"#)
}

/// A change of a model, as clients are sent it.
pub fn changed(rid: &str, values: &str) -> String {
    format!(r#"{{"event":"{rid}.change","data":{{"values":{values}}}}}"#)
}
