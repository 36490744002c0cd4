//! What a configuration file may say, and how it is told that it says something else.

use super::*;
use clap::Parser as _;

const WHOLE: &str = r#"
controller = "https://ctl.example:7443"
ca = "/etc/curfew/ca.pem"
certificate = "/etc/curfew/agent.pem"
key = "/etc/curfew/agent.key"
data_dir = "/var/lib/curfew-agent"
discovery_interval = "30s"
stop_grace = "1m"

[log]
level = "debug"
format = "json"

[providers.qga]
sockets = "/var/run/qemu-server/*.qga"

[providers.simulated]
guests = 3
"#;

fn parse(text: &str) -> Result<RawConfig, ConfigError> {
    RawConfig::parse(text, Path::new("agent.toml"))
}

fn effective(text: &str) -> Result<EffectiveConfig, ConfigError> {
    EffectiveConfig::of(&Overrides::default(), parse(text).unwrap())
}

/// The whole of an error, as the program prints it.
fn said(error: &dyn std::error::Error) -> String {
    let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{source}")
}

#[test]
fn a_whole_file_is_read() {
    let config = effective(WHOLE).unwrap();
    assert_eq!(config.controller, "https://ctl.example:7443");
    assert_eq!(config.discovery_interval, Duration::from_secs(30));
    assert_eq!(config.stop_grace, Duration::from_secs(60));
    assert_eq!((config.log_level.as_str(), config.log_format), ("debug", LogFormat::Json));
    assert_eq!(config.providers.simulated.unwrap().guests, 3);
}

#[test]
fn what_is_left_out_has_its_default() {
    let needed = WHOLE.lines().take(5).collect::<Vec<_>>().join("\n");
    let config = effective(&needed).unwrap();
    assert_eq!(config.data_dir, Path::new("/var/lib/curfew-agent"));
    assert_eq!(config.discovery_interval, DISCOVERY_INTERVAL);
    assert_eq!(config.stop_grace, STOP_GRACE);
    assert_eq!(config.log_level, "info");
    assert_eq!(config.providers, ProvidersConfig::default());
}

#[test]
fn an_unknown_key_is_refused_by_name() {
    for (text, key) in [
        ("controler = \"https://ctl\"", "controler"),
        ("[log]\nlevl = \"info\"", "levl"),
        ("[providers.qga]\nsocket = \"/run/*\"", "socket"),
        ("[providers.kvm]\n", "kvm"),
    ] {
        let error = said(&parse(text).unwrap_err());
        assert!(error.contains("agent.toml") && error.contains(&format!("`{key}`")), "{error}");
    }
}

#[test]
fn a_missing_field_is_named_with_every_way_to_set_it() {
    for field in ["controller", "ca", "certificate", "key"] {
        let left: Vec<&str> = WHOLE.lines().filter(|line| !line.starts_with(&format!("{field} ="))).collect();
        let error = said(&effective(&left.join("\n")).unwrap_err());
        let variable = format!("CURFEW_AGENT_{}", field.to_uppercase());
        for part in [field, &format!("--{field}"), &variable, DEFAULT_FILE] {
            assert!(error.contains(part), "{error}");
        }
    }
}

#[test]
fn a_time_out_of_its_range_is_refused_with_the_range() {
    for (text, why) in [
        ("discovery_interval = \"5 parsecs\"", "write a time such as 10s"),
        ("discovery_interval = \"1ms\"", "from 100ms to 1h"),
        ("stop_grace = \"2h\"", "from 0s to 1h"),
    ] {
        let error = said(&effective(text).unwrap_err());
        assert!(error.contains(why) && error.contains(text.split_once(' ').unwrap().0), "{error}");
    }
}

#[test]
fn a_flag_goes_before_the_file() {
    let args = Args::parse_from(["curfew-agent", "--controller", "https://other", "--stop-grace", "5s"]);
    let config = EffectiveConfig::of(&args.overrides, parse(WHOLE).unwrap()).unwrap();
    assert_eq!(config.controller, "https://other");
    assert_eq!(config.stop_grace, Duration::from_secs(5));
    assert_eq!(config.discovery_interval, Duration::from_secs(30));
}

#[test]
fn a_named_file_must_exist_and_the_default_one_need_not() {
    let error = RawConfig::read(Some(Path::new("/nonexistent/agent.toml"))).unwrap_err();
    assert!(said(&error).contains("/nonexistent/agent.toml"), "{error}");
    if !Path::new(DEFAULT_FILE).exists() {
        assert_eq!(RawConfig::read(None).unwrap(), RawConfig::default());
    }
}
