//! Endpoints as people write them, parsed once.

use super::error::DialError;
use http::Uri;
use rustls::pki_types::ServerName;

/// The port of a controller whose endpoint names none.
pub const DEFAULT_PORT: u16 = 7443;

/// The host (an IPv6 address without its brackets) and the port of `https://HOST[:PORT]`.
pub(super) fn host_and_port(text: &str) -> Result<(String, u16), DialError> {
    let bad = |why| DialError::Endpoint { text: text.chars().take(200).collect(), why };
    let uri: Uri = text.parse().map_err(|_| bad("it is no URI"))?;
    match uri.scheme_str() {
        Some("https") => {}
        Some("http") => return Err(bad("the controller speaks TLS only")),
        _ => return Err(bad("it does not begin with https://")),
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(bad("nothing may follow the port"));
    }
    let authority = uri.authority().ok_or_else(|| bad("it has no host"))?;
    if authority.as_str().contains('@') {
        return Err(bad("it names a user; certificates say who you are"));
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        return Err(bad("it has no host"));
    }
    // The parser leaves a port of more than 16 bits unread, and it must not silently become the default.
    let has_port = authority.as_str().rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    let port = match authority.port_u16() {
        Some(port) if port > 0 => port,
        None if !has_port => DEFAULT_PORT,
        _ => return Err(bad("its port is not a number from 1 to 65535")),
    };
    Ok((host.to_owned(), port))
}

/// The name to expect in the certificate; `text` is what an error shows.
pub(super) fn server_name(text: &str, host: &str) -> Result<ServerName<'static>, DialError> {
    ServerName::try_from(host.to_owned()).map_err(|_| DialError::Endpoint {
        text: text.to_owned(),
        why: "its host is neither a DNS name nor an IP address",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_without_a_port_gets_the_default() {
        assert_eq!(host_and_port("https://ctl.example").unwrap(), ("ctl.example".into(), 7443));
        assert_eq!(host_and_port("https://[::1]/").unwrap(), ("::1".into(), 7443));
        assert_eq!(host_and_port("https://[::1]:8443").unwrap(), ("::1".into(), 8443));
    }

    #[test]
    fn a_bad_endpoint_says_what_is_wrong_and_how_to_write_it() {
        let why = |text: &str| match host_and_port(text) {
            Err(DialError::Endpoint { why, .. }) => why,
            other => panic!("{text} gave {other:?}"),
        };
        assert_eq!(why("http://ctl:7443"), "the controller speaks TLS only");
        assert_eq!(why("ctl:7443"), "it does not begin with https://");
        assert_eq!(why("https://ctl:7443/v1"), "nothing may follow the port");
        assert_eq!(why("https://me@ctl:7443"), "it names a user; certificates say who you are");
        assert_eq!(why("https://ctl:0"), "its port is not a number from 1 to 65535");
        let text = host_and_port("http://ctl").unwrap_err().to_string();
        assert_eq!(
            text,
            "\"http://ctl\" is not an endpoint: the controller speaks TLS only; \
             write it as https://HOST:PORT, such as https://localhost:7443"
        );
    }
}
