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
