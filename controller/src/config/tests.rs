//! What wins over what, and what a mistake is told.

use super::*;

fn resolve(flags: &Flags, text: &str) -> Result<Config, ConfigError> {
    Config::resolve(flags, text, Path::new("/etc/curfew/controller.toml"))
}

fn complaint(text: &str) -> String {
    resolve(&Flags::default(), text).unwrap_err().to_string()
}

#[test]
fn with_nothing_said_the_defaults_hold() {
    assert_eq!(resolve(&Flags::default(), "").unwrap(), Config::default());
    assert_eq!(Config::default().listen.to_string(), "127.0.0.1:7443");
}

#[test]
fn a_flag_goes_before_the_file() {
    let flags =
        Flags { listen: Some("10.0.0.1:1".into()), names: vec!["flag.example".into()], ..Flags::default() };
    let text = "listen = '10.0.0.2:2'\nnames = ['file.example']\ntrust_domain = 'lab'\ndata_dir = 'data'";
    let config = resolve(&flags, text).unwrap();
    assert_eq!(config.listen.to_string(), "10.0.0.1:1");
    assert_eq!(config.names, ["flag.example"]);
    assert_eq!(config.trust_domain.as_str(), "lab");
    assert_eq!(config.data_dir, Path::new("/etc/curfew/data"));
}

#[test]
fn an_empty_variable_says_nothing() {
    let flags = Flags { listen: Some(String::new()), names: vec![String::new()], ..Flags::default() };
    let config = resolve(&flags, "listen = '10.0.0.2:2'\nnames = ['ctl']").unwrap();
    assert_eq!((config.listen.port(), config.names), (2, vec!["ctl".to_owned()]));
}

#[test]
fn an_unknown_key_is_refused_by_name() {
    let complaint = complaint("lisen = '0.0.0.0:1'\n");
    assert!(complaint.contains("/etc/curfew/controller.toml cannot be used"), "{complaint}");
    assert!(complaint.contains("line 1, column 1"), "{complaint}");
    assert!(complaint.contains("unknown field `lisen`, expected one of `listen`, `names`"), "{complaint}");
}

#[test]
fn a_bad_value_names_its_place_and_what_to_write() {
    assert_eq!(
        complaint("listen = '7443'"),
        "listen in /etc/curfew/controller.toml: \"7443\" is not an address and a port; write one such as 0.0.0.0:7443"
    );
    assert_eq!(
        complaint("names = ['ctl:7443']"),
        "names in /etc/curfew/controller.toml: \"ctl:7443\" is neither a DNS name nor an IP address; \
         write what clients dial, without a port"
    );
    assert_eq!(
        complaint("heartbeat_interval = '1h'"),
        "heartbeat_interval in /etc/curfew/controller.toml: \"1h\" is out of range; write a time from 100ms to 5m"
    );
    assert_eq!(
        complaint("[pki]\nca = 'ca.pem'"),
        "pki in /etc/curfew/controller.toml: a PKI of your own needs ca, certificate and key, and there is no \
         certificate and no key; set all three or none"
    );
    let flags = Flags { log_format: Some("xml".into()), ..Flags::default() };
    assert_eq!(
        resolve(&flags, "").unwrap_err().to_string(),
        "--log-format (CURFEW_CONTROLLER_LOG_FORMAT): \"xml\" is no log format; write text or json"
    );
}

#[test]
fn a_named_file_must_be_there_and_the_default_one_need_not() {
    let flags = Flags { config: Some("/nonexistent/c.toml".into()), ..Flags::default() };
    let error = Config::load(&flags).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the configuration file /nonexistent/c.toml");
}

#[test]
fn a_pki_of_ones_own_is_read_from_beside_the_file() {
    let text = "[pki]\nca = 'ca.pem'\ncertificate = '/x/cert.pem'\nkey = 'key.pem'";
    let expected = PkiSource::Files {
        ca: "/etc/curfew/ca.pem".into(),
        certificate: "/x/cert.pem".into(),
        key: "/etc/curfew/key.pem".into(),
    };
    assert_eq!(resolve(&Flags::default(), text).unwrap().pki, expected);
}

#[test]
fn a_size_that_needs_a_second_person_is_read() {
    let text = "keep_history = '90d'\n[approval]\nabove_guests = 5000\nabove_percent = 20\nexpires = '2h'";
    let config = resolve(&Flags::default(), text).unwrap();
    let rule =
        ApprovalRule { above_guests: Some(5000), above_percent: Some(20), expires_ms: 2 * 60 * 60 * 1000 };
    assert_eq!((config.approval, config.keep_history), (rule, Some(Duration::from_secs(90 * 24 * 60 * 60))));
    let config = resolve(&Flags::default(), "[approval]\nabove_guests = 0").unwrap();
    assert_eq!((config.approval.above_guests, config.approval.expires_ms), (Some(0), 24 * 60 * 60 * 1000));
}

#[test]
fn an_approval_that_makes_no_sense_is_refused_with_what_to_write() {
    let file = "/etc/curfew/controller.toml";
    for (text, complaint_of) in [
        (
            "[approval]\nexpires = '1h'",
            format!(
                "approval in {file}: it names no size, so nothing would ever wait; set above_guests, above_percent or both"
            ),
        ),
        (
            "[approval]\nabove_percent = 101",
            format!("approval.above_percent in {file}: 101 is more than everything; write 0 to 100"),
        ),
        (
            "[approval]\nabove_guests = 1\nexpires = 'soon'",
            format!("approval.expires in {file}: \"soon\" is not a time; write one such as 24h"),
        ),
        (
            "[approval]\nabove_guests = 1\nexpires = '30d'",
            format!("approval.expires in {file}: \"30d\" is out of range; write a time from 1m to 7d"),
        ),
        (
            "keep_history = '1h'",
            format!("keep_history in {file}: \"1h\" is out of range; write a time from 1d to 100y"),
        ),
    ] {
        assert_eq!(complaint(text), complaint_of);
    }
    let unknown = complaint("[approval]\nabove = 5");
    assert!(unknown.contains("unknown field `above`, expected one of `above_guests`"), "{unknown}");
}
