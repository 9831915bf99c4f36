//! What a server says of itself in `INFO`.

use serde::{Deserialize, Deserializer};

use super::parser::MAX_PAYLOAD;

/// The payload limit assumed of a server that states none: the default of nats-server.
const DEFAULT_MAX_PAYLOAD: i64 = 1024 * 1024;

/// The members of `INFO` that are of use here; all others are skipped.
///
/// Members that old servers lack have the value that their absence means.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct ServerInfo {
    /// Unique identifier of the server process.
    pub server_id: String,
    /// Name of the server, by default the same as its identifier.
    pub server_name: String,
    /// Version of the server, such as `2.10.4`.
    pub version: String,
    /// Version of the protocol; from 1 on, `INFO` may come at any time.
    pub proto: i64,
    /// Whether messages with headers, and so the "no responders" status, are supported.
    pub headers: bool,
    /// Whether the server wants credentials.
    pub auth_required: bool,
    /// Whether the server accepts TLS only.
    pub tls_required: bool,
    /// Whether the server accepts TLS beside what is plain.
    pub tls_available: bool,
    /// What a user with a key has to sign; empty if no user has one.
    pub nonce: String,
    /// The server's number for this connection.
    pub client_id: u64,
    /// Whether the server is about to shut down ("lame duck mode").
    #[serde(rename = "ldm")]
    pub lame_duck: bool,
    /// Addresses of the cluster's servers, `host:port` each.
    #[serde(deserialize_with = "list_or_null")]
    pub connect_urls: Vec<String>,
    #[serde(rename = "max_payload")]
    stated_max_payload: i64,
}

impl Default for ServerInfo {
    fn default() -> Self {
        Self {
            server_id: String::new(),
            server_name: String::new(),
            version: String::new(),
            proto: 0,
            headers: false,
            auth_required: false,
            tls_required: false,
            tls_available: false,
            nonce: String::new(),
            client_id: 0,
            lame_duck: false,
            connect_urls: Vec::new(),
            stated_max_payload: DEFAULT_MAX_PAYLOAD,
        }
    }
}

fn list_or_null<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

impl ServerInfo {
    /// Reads the JSON object of an `INFO` line.
    ///
    /// # Errors
    ///
    /// The parser's words if the text is not a JSON object, or if a member that is used
    /// has the wrong type.
    pub fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// The largest payload that may be published, headers included, in bytes.
    ///
    /// Never more than [`MAX_PAYLOAD`], also for a server without a limit (a negative
    /// number in `INFO`).
    pub fn max_payload(&self) -> usize {
        match usize::try_from(self.stated_max_payload) {
            Ok(limit) => limit.min(MAX_PAYLOAD),
            Err(_) => MAX_PAYLOAD,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_info_is_read() {
        let json = br#"{"server_id":"NA","server_name":"n1","version":"2.10.4","proto":1,
            "go":"go1.21","host":"0.0.0.0","port":4222,"headers":true,"auth_required":true,
            "max_payload":4096,"jetstream":true,"tls_available":true,"nonce":"q1w2","client_id":18446744073709551615,
            "client_ip":"127.0.0.1","connect_urls":["10.0.0.1:4222"],"ldm":true,
            "nested":{"a":[[{}]]}}"#;
        let info = ServerInfo::from_json(json).unwrap();
        assert_eq!(
            info,
            ServerInfo {
                server_id: "NA".into(),
                server_name: "n1".into(),
                version: "2.10.4".into(),
                proto: 1,
                headers: true,
                auth_required: true,
                tls_required: false,
                tls_available: true,
                nonce: "q1w2".into(),
                client_id: u64::MAX,
                lame_duck: true,
                connect_urls: vec!["10.0.0.1:4222".into()],
                stated_max_payload: 4096,
            }
        );
        assert_eq!(info.max_payload(), 4096);
    }

    #[test]
    fn an_empty_info_is_an_old_server() {
        let info = ServerInfo::from_json(b"{}").unwrap();
        assert_eq!(info, ServerInfo::default());
        assert!(!info.headers);
        let null = ServerInfo::from_json(br#"{"connect_urls":null}"#).unwrap();
        assert_eq!(null, info);
        assert_eq!(info.max_payload(), 1024 * 1024);
    }

    #[test]
    fn the_payload_limit_is_bounded() {
        for (json, limit) in [
            (r#"{"max_payload":0}"#, 0),
            (r#"{"max_payload":-1}"#, MAX_PAYLOAD),
            (r#"{"max_payload":67108865}"#, MAX_PAYLOAD),
            (r#"{"max_payload":8388608}"#, 8_388_608),
        ] {
            let info = ServerInfo::from_json(json.as_bytes()).unwrap();
            assert_eq!(info.max_payload(), limit, "{json}");
        }
    }

    #[test]
    fn what_is_no_info_is_refused() {
        for json in [
            "",
            "{",
            "x",
            "[1]",
            "null",
            r#"{"headers":1}"#,
            r#"{"server_id":{}}"#,
            "{} x",
        ] {
            assert!(ServerInfo::from_json(json.as_bytes()).is_err(), "{json}");
        }
    }
}
