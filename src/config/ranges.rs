//! The range of every number holds, wherever it is written.

use std::path::Path;

use super::options::{Kind, OPTIONS, Setting, Spec};
use super::settings::Settings;
use super::{Config, Error, Workers, args, environment, file, validate};

/// What the checks make of a number that is written as a flag, as a variable, and in the
/// file.
fn layers(spec: &Spec, number: i64) -> [(&'static str, Result<Box<Config>, Error>); 3] {
    let flag = || {
        let mut settings = Settings::new(Path::new("f"));
        args::parse(vec![format!("{}={number}", spec.flag).into()])?.apply(&mut settings);
        Ok(settings)
    };
    let variable = || {
        let mut settings = Settings::new(Path::new("f"));
        let variable = (spec.variable.into(), number.to_string().into());
        environment::parse([variable])?.apply(&mut settings);
        Ok(settings)
    };
    let member = || {
        let mut settings = Settings::new(Path::new("f"));
        let text = format!("{{\"{}\":{number}}}", spec.member);
        file::apply(Path::new("f"), text.into_bytes(), &mut settings)?;
        Ok(settings)
    };
    let checked = |settings: Result<Settings, Error>| {
        validate::validate(&settings?, &mut Vec::new()).map(Box::new)
    };
    [
        ("flag", checked(flag())),
        ("variable", checked(variable())),
        ("file", checked(member())),
    ]
}

#[test]
fn ranges_hold_in_every_layer() {
    let mut numbers = 0;
    for spec in &OPTIONS {
        let (Kind::Number(min, max) | Kind::Auto(min, max)) = spec.kind else {
            continue;
        };
        numbers += 1;
        for number in [min, min + 1, max - 1, max] {
            for (layer, checked) in layers(spec, number) {
                let error = checked.err().map(|error| error.to_string());
                assert_eq!(error, None, "{} {number} as {layer}", spec.flag);
            }
        }
        for number in [min - 1, max + 1, i64::MIN, i64::MAX] {
            for (layer, checked) in layers(spec, number) {
                let error = checked.expect_err(spec.flag);
                let expected = format!("a whole number from {min} to {max}; give one");
                let text = error.to_string();
                assert!(text.ends_with(&expected), "{layer} {number}: {text}");
                assert_eq!(error.exit_code(), 1, "{text}");
            }
        }
    }
    assert!(numbers >= 7, "{numbers} options with a number");
}

/// What is accepted is what the gateway runs with.
#[test]
fn numbers_reach_the_configuration() {
    let written = |config: &Config, key: Setting| match key {
        Setting::Port => Some(i64::from(config.port)),
        Setting::MetricsPort => config.metrics_port.map(i64::from),
        Setting::RequestTimeout => i64::try_from(config.request_timeout.as_millis()).ok(),
        Setting::BufferSize => Some(config.buffer_size.into()),
        Setting::ResetThrottle => Some(config.reset_throttle.into()),
        Setting::ReferenceThrottle => Some(config.reference_throttle.into()),
        Setting::MaxBuffers => Some(config.max_buffers.into()),
        Setting::MaxEntries => Some(config.max_entries.into()),
        Setting::MaxResourceSize => Some(config.max_resource_size.into()),
        Setting::ApiMaxResources => Some(config.api_max_resources.into()),
        Setting::ApiMaxBytes => Some(config.api_max_bytes.into()),
        Setting::NatsReconnect => i64::try_from(config.nats_reconnect.as_millis()).ok(),
        Setting::NatsPingInterval => i64::try_from(config.nats_ping_interval.as_millis()).ok(),
        Setting::DriftAudit => Some(config.drift_audit.into()),
        Setting::ConnectionEvents => Some(config.connection_events.into()),
        Setting::PingInterval => Some(config.ping_interval.into()),
        Setting::FlushDelay => Some(config.flush_delay.into()),
        Setting::MaxAge => Some(config.max_age.into()),
        Setting::DrainTime => Some(config.drain_time.into()),
        Setting::BrokerMaxPayload => Some(config.broker.max_payload.into()),
        Setting::BrokerMaxConnections => Some(config.broker.max_connections.into()),
        Setting::MaxConnections => Some(config.max_connections.into()),
        Setting::MaxConnectionsPerAddress => Some(config.max_connections_per_address.into()),
        Setting::MaxRequestsPerSecond => Some(config.max_requests_per_second.into()),
        Setting::MaxSubscriptions => Some(config.max_subscriptions.into()),
        Setting::MaxCachedResources => Some(config.max_cached_resources.into()),
        Setting::MaxCachedBytes => Some(config.max_cached_bytes.into()),
        Setting::HttpKeepAlive => Some(config.http_keep_alive.into()),
        Setting::HeadTimeout => Some(config.head_timeout.into()),
        Setting::WsIdleTimeout => Some(config.ws_idle_timeout.into()),
        Setting::Workers => match config.workers {
            Some(Workers::Count(count)) => Some(count.into()),
            _ => None,
        },
        Setting::Cpu => config.cpu.and_then(|cpu| i64::try_from(cpu).ok()),
        other => panic!("{other:?} is a number: say where it is in Config"),
    };
    for spec in &OPTIONS {
        let (Kind::Number(_, max) | Kind::Auto(_, max)) = spec.kind else {
            continue;
        };
        for number in [max.min(777), max] {
            for (layer, checked) in layers(spec, number) {
                let config = checked.expect("within the range");
                let found = written(&config, spec.key);
                assert_eq!(found, Some(number), "{} as {layer}", spec.flag);
            }
        }
    }
}
