//! From merged values to the typed [`Config`]: the checks.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::error::{Error, Place};
use super::options::{BROKER_ADDRESS, CONSOLE_PATH, Setting, Value};
use super::settings::Settings;
use super::{
    AllowOrigin, ApiEncoding, AuthMethod, BrokerInside, Config, LogFormat, Networks,
    ReconnectTokens, Workers,
};

/// How long the console's token may be.
const CONSOLE_TOKEN: std::ops::RangeInclusive<usize> = 16..=256;

/// Checks the values. What deserves a word and is no error goes to `warnings`.
///
/// # Errors
/// [`Error::Invalid`] for the first wrong value.
pub(super) fn validate(settings: &Settings, warnings: &mut Vec<String>) -> Result<Config, Error> {
    Checker { settings, warnings }.config()
}

/// An option by both its names.
fn names(key: Setting) -> String {
    let spec = key.spec();
    format!("{} or \"{}\"", spec.flag, spec.member)
}

struct Checker<'a> {
    settings: &'a Settings,
    warnings: &'a mut Vec<String>,
}

/// Patterns whose answer times are counted apart.
const PATTERNS_MAX: usize = 16;

/// Whether it is parts divided by dots, `*` for any part and a last `>` for any tail, that can
/// stand in a label.
fn is_pattern(text: &str) -> bool {
    let mut parts = text.split('.').peekable();
    while let Some(part) = parts.next() {
        let is_wild = part == "*" || part == ">" && parts.peek().is_none();
        let is_name_byte = |byte: u8| byte.is_ascii_graphic() && !b"*>?\"\\".contains(&byte);
        if !is_wild && (part.is_empty() || !part.bytes().all(is_name_byte)) {
            return false;
        }
    }
    true
}

impl Checker<'_> {
    fn config(&mut self) -> Result<Config, Error> {
        let settings = self.settings;
        let port = self.port(Setting::Port);
        self.check_pairs()?;
        self.check_proxies()?;
        Ok(Config {
            nats_url: self.text(Setting::NatsUrl),
            nats_creds: self.path(Setting::NatsCreds),
            nats_cert: self.path(Setting::NatsCert),
            nats_key: self.path(Setting::NatsKey),
            nats_root_cas: self.paths(Setting::NatsRootCas),
            nats_tls_first: settings.switch(Setting::NatsTlsFirst),
            request_timeout: self.request_timeout(),
            debug: settings.switch(Setting::Debug),
            trace: settings.switch(Setting::Trace),
            log_format: self.log_format()?,
            buffer_size: self.count(Setting::BufferSize),
            addr: self.addr()?,
            port,
            ws_path: self.url_path(Setting::WsPath),
            api_path: self.api_path(),
            metrics_port: self.metrics_port(port)?,
            api_encoding: self.api_encoding()?,
            header_auth: self.auth_method(Setting::HeaderAuth)?,
            ws_header_auth: self.auth_method(Setting::WsHeaderAuth)?,
            allow_origin: self.allow_origin()?,
            put_method: self.method(Setting::PutMethod)?,
            delete_method: self.method(Setting::DeleteMethod)?,
            patch_method: self.method(Setting::PatchMethod)?,
            tls: settings.switch(Setting::Tls),
            tls_cert: self.path(Setting::TlsCert),
            tls_key: self.path(Setting::TlsKey),
            ws_compression: settings.switch(Setting::WsCompression),
            reset_throttle: self.count(Setting::ResetThrottle),
            reference_throttle: self.count(Setting::ReferenceThrottle),
            max_buffers: self.count(Setting::MaxBuffers),
            max_entries: self.count(Setting::MaxEntries),
            max_resource_size: self.count(Setting::MaxResourceSize),
            api_max_resources: self.count(Setting::ApiMaxResources),
            api_max_bytes: self.count(Setting::ApiMaxBytes),
            nats_reconnect: self.millis(Setting::NatsReconnect),
            nats_reconnect_tokens: self.reconnect_tokens()?,
            nats_ping_interval: self.millis(Setting::NatsPingInterval),
            drift_audit: self.count(Setting::DriftAudit),
            connection_events: self.count(Setting::ConnectionEvents),
            trace_parent: settings.switch(Setting::TraceParent),
            latency_patterns: self.patterns(Setting::LatencyPatterns)?,
            ping_interval: self.count(Setting::PingInterval),
            flush_delay: self.count(Setting::FlushDelay),
            max_age: self.count(Setting::MaxAge),
            drain_time: self.count(Setting::DrainTime),
            broker: self.broker()?,
            demo: settings.switch(Setting::Demo),
            console: self.console()?,
            console_token: self.console_token()?,
            max_connections: self.count(Setting::MaxConnections),
            max_connections_per_address: self.count(Setting::MaxConnectionsPerAddress),
            max_requests_per_second: self.count(Setting::MaxRequestsPerSecond),
            max_subscriptions: self.count(Setting::MaxSubscriptions),
            trusted_proxies: self.networks(Setting::TrustedProxies)?,
            proxy_protocol: settings.switch(Setting::ProxyProtocol),
            max_cached_resources: self.count(Setting::MaxCachedResources),
            max_cached_bytes: self.count(Setting::MaxCachedBytes),
            http_keep_alive: self.count(Setting::HttpKeepAlive),
            head_timeout: self.count(Setting::HeadTimeout),
            ws_idle_timeout: self.count(Setting::WsIdleTimeout),
            reuse_port: settings.switch(Setting::ReusePort),
            workers: self.workers()?,
            home_page: settings.switch(Setting::HomePage),
            cpu: self.cpu(),
        })
    }

    /// Patterns of resource names. Each has metrics of its own, which it is the label of.
    fn patterns(&self, key: Setting) -> Result<Vec<String>, Error> {
        let patterns = self.settings.list(key);
        if patterns.len() > PATTERNS_MAX {
            let reason = format!(
                "has {} patterns; give {PATTERNS_MAX} at most",
                patterns.len()
            );
            return self.invalid(key, reason);
        }
        for (index, text) in patterns.iter().enumerate() {
            if !is_pattern(text) {
                let like = "give one like library.books.>";
                let reason = format!("{text:?} is no pattern of resource names; {like}");
                return self.invalid(key, reason);
            }
            if patterns[..index].contains(text) {
                return self.invalid(key, format!("{text:?} is there twice"));
            }
        }
        Ok(patterns.to_vec())
    }

    /// The CPU to run on, if one is named.
    fn cpu(&self) -> Option<usize> {
        let number = self.settings.number(Setting::Cpu)?;
        usize::try_from(number).ok()
    }

    /// How many processes serve clients, if it is not this one.
    fn workers(&self) -> Result<Option<Workers>, Error> {
        let workers = match self.settings.value(Setting::Workers) {
            Value::Number(count) => Workers::Count(u32::try_from(*count).unwrap_or(1)),
            Value::Text(_) => Workers::Auto,
            _ => return Ok(None),
        };
        // The console shows the one process that a browser happens to meet.
        let others = [
            (Setting::Demo, self.settings.switch(Setting::Demo)),
            (
                Setting::Console,
                self.settings.text(Setting::Console).is_some(),
            ),
            (Setting::Cpu, self.settings.number(Setting::Cpu).is_some()),
        ];
        match others.iter().find(|(_, is_set)| *is_set) {
            Some((other, _)) => self.invalid(
                Setting::Workers,
                format!("is not for one process; leave out {}", names(*other)),
            ),
            None => Ok(Some(workers)),
        }
    }

    /// Files that an option names, several times perhaps.
    fn paths(&self, setting: Setting) -> Vec<PathBuf> {
        let files = self.settings.list(setting);
        files.iter().map(PathBuf::from).collect()
    }

    /// The path of the web API, which ends with a slash.
    fn api_path(&mut self) -> String {
        let mut path = self.url_path(Setting::ApiPath);
        if !path.ends_with('/') {
            path.push('/');
        }
        path
    }

    fn invalid<T>(&self, key: Setting, reason: String) -> Result<T, Error> {
        Err(Error::Invalid {
            place: self.settings.place(key),
            reason,
        })
    }

    /// A certificate is of no use without its key, and TLS of none without both.
    fn check_pairs(&mut self) -> Result<(), Error> {
        for (this, other) in [
            (Setting::TlsCert, Setting::TlsKey),
            (Setting::TlsKey, Setting::TlsCert),
            (Setting::NatsCert, Setting::NatsKey),
            (Setting::NatsKey, Setting::NatsCert),
            (Setting::BrokerTlsCert, Setting::BrokerTlsKey),
            (Setting::BrokerTlsKey, Setting::BrokerTlsCert),
        ] {
            if self.path(this).is_some() && self.path(other).is_none() {
                return self.invalid(this, format!("set {} too", names(other)));
            }
        }
        let has_certificate = self.path(Setting::TlsCert).is_some();
        match self.settings.switch(Setting::Tls) {
            true if !has_certificate => self.invalid(
                Setting::Tls,
                format!(
                    "needs a certificate and its key; set {} and {}",
                    names(Setting::TlsCert),
                    names(Setting::TlsKey)
                ),
            ),
            false if has_certificate => {
                self.warnings.push(format!(
                    "{}: has no effect without {}",
                    self.settings.place(Setting::TlsCert),
                    names(Setting::Tls)
                ));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A PROXY header is believed of somebody only.
    fn check_proxies(&self) -> Result<(), Error> {
        let is_spoken = self.settings.switch(Setting::ProxyProtocol);
        match is_spoken && self.settings.list(Setting::TrustedProxies).is_empty() {
            true => self.invalid(
                Setting::ProxyProtocol,
                format!(
                    "says nothing of whom to believe; set {} too",
                    names(Setting::TrustedProxies)
                ),
            ),
            false => Ok(()),
        }
    }

    fn networks(&self, key: Setting) -> Result<Networks, Error> {
        Networks::parse(self.settings.list(key)).or_else(|text| {
            self.invalid(
                key,
                format!("{text:?} is no address and no network; give one like 10.0.0.0/8 or ::1"),
            )
        })
    }

    fn text(&self, key: Setting) -> String {
        self.settings.text(key).unwrap_or_default().to_owned()
    }

    fn path(&self, key: Setting) -> Option<PathBuf> {
        let text = self.settings.text(key)?;
        (!text.is_empty()).then(|| PathBuf::from(text))
    }

    // The table bounds both kinds of number, so no conversion fails.
    fn port(&self, key: Setting) -> u16 {
        let number = self.settings.number(key).unwrap_or_default();
        u16::try_from(number).unwrap_or_default()
    }

    fn count(&self, key: Setting) -> u32 {
        let number = self.settings.number(key).unwrap_or_default();
        u32::try_from(number).unwrap_or_default()
    }

    fn millis(&self, key: Setting) -> Duration {
        Duration::from_millis(self.count(key).into())
    }

    /// Resgate once took seconds; up to 10 is still understood so.
    fn request_timeout(&mut self) -> Duration {
        let given = self.count(Setting::RequestTimeout);
        let place = self.settings.place(Setting::RequestTimeout);
        if given <= 10 {
            self.warnings.push(format!(
                "{place}: {given} is taken as seconds; this is deprecated, write {} milliseconds",
                given * 1_000
            ));
            return Duration::from_secs(given.into());
        }
        if given < 100 {
            self.warnings.push(format!(
                "{place}: {given} is taken as milliseconds, a short time for services; if seconds \
                 were meant, write {}",
                given * 1_000
            ));
        }
        Duration::from_millis(given.into())
    }

    fn addr(&self) -> Result<Option<IpAddr>, Error> {
        // The demonstration lets everybody change everything: others see it if that is asked for.
        if self.settings.switch(Setting::Demo) && !self.settings.is_asked_for(Setting::Addr) {
            return Ok(Some(Ipv4Addr::LOCALHOST.into()));
        }
        match self.settings.text(Setting::Addr) {
            None | Some("") => Ok(None),
            Some(text) => match text.parse() {
                Ok(addr) => Ok(Some(addr)),
                Err(_) => self.invalid(
                    Setting::Addr,
                    format!(
                        "{text:?} is not an IP address; give an IPv4 or IPv6 address, or an \
                         empty text for all"
                    ),
                ),
            },
        }
    }

    fn broker(&mut self) -> Result<BrokerInside, Error> {
        Ok(BrokerInside {
            addr: self.broker_addr()?,
            users: self.text(Setting::BrokerUsers),
            max_payload: self.count(Setting::BrokerMaxPayload),
            max_connections: self.count(Setting::BrokerMaxConnections),
            tls_cert: self.path(Setting::BrokerTlsCert),
            tls_key: self.path(Setting::BrokerTlsKey),
        })
    }

    /// Where the broker inside listens. What belongs to a nats-server is refused then.
    fn broker_addr(&mut self) -> Result<Option<SocketAddr>, Error> {
        let settings = self.settings;
        let users = self.text(Setting::BrokerUsers);
        let has_users = match serde_json::from_str::<serde_json::Value>(&users) {
            Ok(serde_json::Value::Array(users)) => !users.is_empty(),
            Ok(_) => {
                let reason = "must be a list of users in brackets".to_owned();
                return self.invalid(Setting::BrokerUsers, reason);
            }
            // Its words would show what may be a secret.
            Err(_) => return self.invalid(Setting::BrokerUsers, "is no valid JSON".to_owned()),
        };
        let is_demo = settings.switch(Setting::Demo);
        let given = settings.text(Setting::Broker);
        let Some(text) = given.or(is_demo.then_some(BROKER_ADDRESS)) else {
            return Ok(None);
        };
        let cause = given.map_or(Setting::Demo, |_| Setting::Broker);
        let Some(addr) = socket_addr(text) else {
            return self.invalid(
                Setting::Broker,
                format!("{text:?} is no address to listen on; give one like {BROKER_ADDRESS}"),
            );
        };
        if !addr.ip().is_loopback() && !has_users && !settings.switch(Setting::BrokerOpen) {
            return self.invalid(
                Setting::Broker,
                format!(
                    "{addr} can be reached by others, and everybody could be a service; set \
                     \"brokerUsers\" in the configuration file, or {} if the network lets \
                     nobody in",
                    names(Setting::BrokerOpen)
                ),
            );
        }
        if let Some(member) = settings.foreign {
            return Err(Error::Invalid {
                place: Place::Member {
                    path: settings.path().to_owned(),
                    member,
                },
                reason: format!(
                    "the broker inside does not have this; use a nats-server for it, with {} in \
                     place of {}",
                    names(Setting::NatsUrl),
                    names(cause)
                ),
            });
        }
        for key in [Setting::NatsUrl, Setting::NatsCreds, Setting::NatsCert] {
            if *settings.value(key) != key.spec().default {
                self.warnings.push(format!(
                    "{}: has no effect with {}",
                    settings.place(key),
                    names(cause)
                ));
            }
        }
        Ok(Some(addr))
    }

    /// Where the console is, which the demonstration has in any case.
    fn console(&self) -> Result<Option<String>, Error> {
        let is_demo = self.settings.switch(Setting::Demo);
        let given = self.settings.text(Setting::Console);
        let Some(path) = given.or(is_demo.then_some(CONSOLE_PATH)) else {
            return Ok(None);
        };
        let is_part = |part: &str| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            !part.is_empty() && part.bytes().all(is_plain)
        };
        let parts = path.strip_prefix('/');
        if !parts.is_some_and(|parts| parts.split('/').all(is_part)) {
            return self.invalid(
                Setting::Console,
                format!("{path:?} is no path for the console; give one like {CONSOLE_PATH}"),
            );
        }
        if path == self.text(Setting::WsPath) {
            return self.invalid(
                Setting::Console,
                format!("{path} is the path of the WebSocket; give another one"),
            );
        }
        Ok(Some(path.to_owned()))
    }

    fn console_token(&mut self) -> Result<Option<String>, Error> {
        let Some(token) = self.settings.text(Setting::ConsoleToken) else {
            return Ok(None);
        };
        let is_long_enough = CONSOLE_TOKEN.contains(&token.len());
        if !is_long_enough || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            // The text is a secret.
            let (min, max) = CONSOLE_TOKEN.into_inner();
            return self.invalid(
                Setting::ConsoleToken,
                format!("must be {min} to {max} visible characters of ASCII"),
            );
        }
        let is_demo = self.settings.switch(Setting::Demo);
        if self.settings.text(Setting::Console).is_none() && !is_demo {
            self.warnings.push(format!(
                "{}: has no effect without {}",
                self.settings.place(Setting::ConsoleToken),
                names(Setting::Console)
            ));
        }
        Ok(Some(token.to_owned()))
    }

    /// A path that does not begin with a slash is accepted, as by Resgate.
    fn url_path(&mut self, key: Setting) -> String {
        let path = self.text(key);
        if !path.starts_with('/') {
            self.warnings.push(format!(
                "{}: {path:?} matches no request; begin it with a slash",
                self.settings.place(key)
            ));
        }
        path
    }

    fn metrics_port(&self, port: u16) -> Result<Option<u16>, Error> {
        match self.port(Setting::MetricsPort) {
            0 => Ok(None),
            metrics if metrics == port => self.invalid(
                Setting::MetricsPort,
                format!("{metrics} is the port for clients; give another one"),
            ),
            metrics => Ok(Some(metrics)),
        }
    }

    fn api_encoding(&self) -> Result<ApiEncoding, Error> {
        let text = self.text(Setting::ApiEncoding);
        match text.to_ascii_lowercase().as_str() {
            "json" => Ok(ApiEncoding::Json),
            "jsonflat" => Ok(ApiEncoding::JsonFlat),
            _ => self.invalid(
                Setting::ApiEncoding,
                format!("{text:?} is not an encoding; give json or jsonflat"),
            ),
        }
    }

    fn reconnect_tokens(&self) -> Result<ReconnectTokens, Error> {
        let text = self.text(Setting::NatsReconnectTokens);
        match text.to_ascii_lowercase().as_str() {
            "close" => Ok(ReconnectTokens::Close),
            "keep" => Ok(ReconnectTokens::Keep),
            _ => self.invalid(
                Setting::NatsReconnectTokens,
                format!("{text:?} is neither; give close or keep"),
            ),
        }
    }

    fn log_format(&self) -> Result<LogFormat, Error> {
        let text = self.text(Setting::LogFormat);
        match text.to_ascii_lowercase().as_str() {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => self.invalid(
                Setting::LogFormat,
                format!("{text:?} is neither; give text or json"),
            ),
        }
    }

    fn auth_method(&self, key: Setting) -> Result<Option<AuthMethod>, Error> {
        let Some(text) = self.settings.text(key) else {
            return Ok(None);
        };
        match text.rsplit_once('.') {
            Some((resource, method)) if text.split('.').all(is_name_part) => Ok(Some(AuthMethod {
                resource: resource.to_owned(),
                method: method.to_owned(),
            })),
            _ => self.invalid(
                key,
                format!("{text:?} is not a resource method; give one like auth.headerLogin"),
            ),
        }
    }

    fn method(&self, key: Setting) -> Result<Option<String>, Error> {
        match self.settings.text(key) {
            None => Ok(None),
            Some(text) if is_name_part(text) => Ok(Some(text.to_owned())),
            Some(text) => self.invalid(
                key,
                format!("{text:?} is not a method name; give one like set, without dots"),
            ),
        }
    }

    fn allow_origin(&self) -> Result<AllowOrigin, Error> {
        let text = self.text(Setting::AllowOrigin);
        if text == "*" {
            return Ok(AllowOrigin::Any);
        }
        let mut origins = Vec::new();
        for origin in text.split(';') {
            let problem = if origin == "*" {
                "* stands for all origins and cannot be one of several"
            } else if !is_origin(origin) {
                "it must be * or a list of scheme://host or scheme://host:port, divided by ;"
            } else {
                origins.push(origin.to_ascii_lowercase());
                continue;
            };
            return self.invalid(
                Setting::AllowOrigin,
                format!("{origin:?} is not an allowed origin; {problem}"),
            );
        }
        origins.sort();
        Ok(AllowOrigin::List(origins))
    }
}

/// An address to listen on, of which the IP address or the port may be left out.
fn socket_addr(text: &str) -> Option<SocketAddr> {
    const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const PORT: u16 = 4_222;
    let port = text.strip_prefix(':').unwrap_or(text);
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let with_port = |ip: IpAddr| SocketAddr::new(ip, PORT);
    let whole = text.parse().ok();
    let by_port = || Some(SocketAddr::new(LOCAL, port.parse().ok()?));
    let by_ip = || bare.unwrap_or(text).parse().ok().map(with_port);
    whole.or_else(by_port).or_else(by_ip)
}

/// A part of a resource name, or a method name (RES protocol, "Resources").
fn is_name_part(part: &str) -> bool {
    !part.is_empty()
        && part
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'.' | b'?' | b'*' | b'>'))
}

/// An origin as a browser sends it (RFC 6454, section 6.2), in any letter case.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else {
        return false;
    };
    let scheme_fits = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    let (host_fits, port) = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, port)) => (host.parse::<std::net::Ipv6Addr>().is_ok(), port),
            None => return false,
        },
        None => {
            let end = authority.find(':').unwrap_or(authority.len());
            let (host, port) = authority.split_at(end);
            let fits = !host.is_empty()
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
            (fits, port)
        }
    };
    let port_fits = port.is_empty()
        || port.strip_prefix(':').is_some_and(|port| {
            port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok()
        });
    scheme_fits && host_fits && port_fits
}

#[cfg(test)]
mod tests;
