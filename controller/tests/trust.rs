//! Real handshakes over loopback: who is let in, who is refused with which words on both sides, and that the server
//! goes on.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

#[path = "trust/door.rs"]
mod door;

use curfew_controller::data_dir::DataDir;
use curfew_controller::pki::{Authority, Identity, Issued, Lifetime, Material, PkiSource, TrustDomain};
use curfew_controller::tls::{Listener, ServerTls};
use curfew_proto::dial::DialError;
use door::{Door, authority, built_in, dial, words};
use hyper_util::rt::TokioIo;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
};
use rustls::HandshakeKind;
use rustls::pki_types::CertificateDer;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::HealthServer;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test]
async fn the_peer_is_who_its_certificate_says() {
    let door = Door::open().await;
    let agent = door.authority.issue_agent(&"host-1".parse().unwrap()).unwrap();
    for issued in [agent, door.operator()] {
        let channel = door.dial(&issued).connect().await.unwrap();
        HealthClient::new(channel).check(HealthCheckRequest::default()).await.unwrap();
    }
    let peers = door.peers.lock().unwrap();
    let identities: Vec<String> = peers.iter().map(|peer| peer.identity.to_string()).collect();
    assert_eq!(identities, ["agent/host-1", "operator/alice"]);
    assert_eq!(peers[0].address.ip(), door.address.ip());
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused() {
    let door = Door::open().await;
    let mut stream = door.shake(&door.tls(None)).await;
    let error = stream.read_u8().await.unwrap_err();
    assert!(error.to_string().contains("CertificateRequired"), "{error}");
    door.log.expect(&["WARN", "127.0.0.1:", "it presented no client certificate"]).await;
    door.serves_a_good_client().await;
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let door = Door::open().await;
    let (_temp, _dir, other) = authority("curfew");
    let refused = door.dial(&other.issue_operator("mallory").unwrap()).connect().await;
    assert_eq!(
        words(refused),
        format!(
            "the controller at {} refused this client's certificate: it is not signed by the controller's authority: \
             have one issued by this controller",
            door.endpoint()
        )
    );
    door.log.expect(&["WARN", "127.0.0.1:", "its certificate is signed by an unknown authority"]).await;
    door.serves_a_good_client().await;
}

#[tokio::test]
async fn an_expired_certificate_is_refused_with_its_date() {
    let door = Door::open().await;
    let now = SystemTime::now();
    let past = Lifetime { not_before: now - DAY * 2, not_after: now - DAY };
    let expired = door.authority.issue(&Identity::operator("alice").unwrap(), &[], past).unwrap();
    let since = humantime::format_rfc3339_seconds(past.not_after).to_string();
    let refused = words(door.dial(&expired).connect().await);
    assert!(refused.contains(&format!("it has expired since {since}: have a new one issued")), "{refused}");
    door.log.expect(&["WARN", &format!("its certificate has expired since {since}")]).await;
    door.serves_a_good_client().await;
}

#[tokio::test]
async fn an_identity_of_another_trust_domain_is_refused() {
    let door = Door::open().await;
    // A PKI brought along may sign for several domains; here the same key does.
    let foreign = {
        let other = TempDir::new().unwrap();
        let dir = DataDir::ensure(&other.path().join("data")).unwrap();
        let (authority, _) = Authority::ensure(&dir, &"elsewhere".parse().unwrap()).unwrap();
        (authority.issue_operator("alice").unwrap(), authority.certificate().clone())
    };
    let (temp, dir, own) = authority("curfew");
    let mut material =
        Material::ensure(&PkiSource::BuiltIn, &dir, &TrustDomain::default(), &["localhost".into()]).unwrap();
    material.authorities.push(foreign.1);
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), ServerTls::new(material).unwrap()).unwrap();
    let endpoint = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let _incoming = listener.accept();
    let refused = words(dial(&endpoint, own.certificate_pem(), &foreign.0).connect().await);
    assert!(refused.contains("its identity is not one this controller knows"), "{refused}");
    door.log.expect(&["WARN", "names nobody here", "another trust domain than \\\"curfew\\\""]).await;
    drop(temp);
}

#[tokio::test]
async fn a_server_certificate_is_no_client_certificate() {
    let door = Door::open().await;
    let server = door.authority.issue_controller(&["localhost".into()]).unwrap();
    let refused = words(door.dial(&server).connect().await);
    assert!(refused.contains("it is not made for clients"), "{refused}");
    door.log.expect(&["WARN", "its certificate is not made for clients"]).await;
}

#[tokio::test]
async fn garbage_is_refused_and_named() {
    let door = Door::open().await;
    for (sent, said) in [
        (&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], "it speaks HTTP without TLS"),
        (&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], "it speaks HTTP/2 without TLS; clients must use https"),
        (&[0x00, 0xff, 0x13, 0x37, 0x00, 0x01, 0x02][..], "what it sent is not TLS"),
    ] {
        let mut tcp = door.raw().await;
        tcp.write_all(sent).await.unwrap();
        door.log.expect(&["WARN", "127.0.0.1:", said]).await;
    }
    door.serves_a_good_client().await;
}

#[tokio::test]
async fn a_stalled_handshake_delays_nobody_and_is_given_up() {
    let patience = Duration::from_secs(4);
    let door = Door::open_for(patience).await;
    let mut stalled = Vec::new();
    for _ in 0..100 {
        stalled.push(door.raw().await);
    }
    let mut half = door.raw().await;
    half.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).await.unwrap();
    tokio::time::timeout(patience, door.serves_a_good_client()).await.unwrap();
    assert!(!door.log.text().contains("did not finish"), "they were given up before the good one was served");
    door.log.expect(&["WARN", "it did not finish the handshake within 4 s"]).await;
    door.serves_a_good_client().await;
}

#[tokio::test]
async fn an_older_tls_is_refused() {
    let door = Door::open().await;
    let old = door.tls_of(Some(&door.operator()), &[&rustls::version::TLS12]);
    let error = door.try_shake(&old).await.unwrap_err();
    assert!(error.to_string().contains("ProtocolVersion"), "{error}");
    door.log.expect(&["WARN", "it does not speak TLS 1.3 as needed here"]).await;
}

#[tokio::test]
async fn a_port_probe_makes_no_noise() {
    let door = Door::open().await;
    drop(door.raw().await);
    door.serves_a_good_client().await;
    assert_eq!(door.log.text().matches("refused").count(), 0, "{}", door.log.text());
}

#[tokio::test]
async fn a_session_is_resumed_with_a_controller_that_was_restarted() {
    let mut door = Door::open().await;
    let connector = door.returning(&door.operator()).await;
    door.reopen();
    let resumed = door.shake(&connector).await;
    assert_eq!(resumed.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
    ask_over(resumed).await;
    assert_eq!(door.peers.lock().unwrap()[0].identity, Identity::operator("alice").unwrap());
}

#[tokio::test]
async fn a_controller_with_a_new_key_resumes_nothing_and_lets_in_whom_it_let_in_before() {
    let mut door = Door::open().await;
    let connector = door.returning(&door.operator()).await;
    std::fs::remove_file(door.dir.pki().join("controller.key")).unwrap();
    door.reopen();
    let shaken = door.shake(&connector).await;
    assert_eq!(shaken.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
    ask_over(shaken).await;
    assert_eq!(door.peers.lock().unwrap()[0].identity, Identity::operator("alice").unwrap());
}

#[tokio::test]
async fn a_resumed_session_does_not_outlive_an_authority_in_between() {
    let mut door = Door::open().await;
    let (root, issued) = alice_by_way_of_one_that_ends(SystemTime::now() + Duration::from_secs(2));
    door.reopen_with(Material { authorities: vec![root], ..built_in(&door.dir) });
    let connector = door.returning(&issued).await;
    let resumed = door.shake(&connector).await;
    assert_eq!(resumed.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
    ask_over(resumed).await;

    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut late = door.shake(&connector).await;
    assert_eq!(late.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
    late.read_u8().await.unwrap_err();
    door.log.expect(&["WARN", "its certificate has expired since"]).await;
}

/// An authority, and a certificate of a day that another has signed which the first has signed and which ends at `end`.
fn alice_by_way_of_one_that_ends(end: SystemTime) -> (CertificateDer<'static>, Issued) {
    let key = || KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let authority = |name: &str, not_after: SystemTime| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = not_after.into();
        params
    };
    let root_params = authority("root", SystemTime::now() + DAY);
    let root_key = key();
    let root = root_params.self_signed(&root_key).unwrap();
    let between_params = authority("between", end);
    let between_key = key();
    let between = between_params.signed_by(&between_key, &Issuer::new(root_params, root_key)).unwrap();
    let mut params = CertificateParams::default();
    let uri = Identity::operator("alice").unwrap().uri(&TrustDomain::default());
    params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let not_after = SystemTime::now() + DAY;
    params.not_after = not_after.into();
    let leaf_key = key();
    let leaf = params.signed_by(&leaf_key, &Issuer::new(between_params, between_key)).unwrap();
    let certificate_pem = leaf.pem() + &between.pem();
    (root.der().clone(), Issued { certificate_pem, key_pem: leaf_key.serialize_pem(), not_after })
}

/// Makes a call over this connection.
async fn ask_over(stream: TlsStream<TcpStream>) {
    let mut stream = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_| {
        let stream = stream.take().ok_or_else(|| std::io::Error::other("it was used already"));
        async move { stream }
    });
    let endpoint = tonic::transport::Endpoint::from_static("http://localhost");
    let channel = endpoint.connect_with_connector(connector).await.unwrap();
    HealthClient::new(channel).check(HealthCheckRequest::default()).await.unwrap();
}

#[tokio::test]
async fn a_resumed_session_does_not_outlive_its_certificate() {
    let door = Door::open().await;
    let now = SystemTime::now();
    let brief = Lifetime { not_before: now - DAY, not_after: now + Duration::from_secs(2) };
    let issued = door.authority.issue(&Identity::operator("alice").unwrap(), &[], brief).unwrap();
    let connector = door.returning(&issued).await;
    let mut resumed = door.shake(&connector).await;
    assert_eq!(resumed.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
    resumed.read_u8().await.unwrap();

    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut late = door.shake(&connector).await;
    assert_eq!(late.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
    late.read_u8().await.unwrap_err();
    door.log.expect(&["WARN", "its certificate has expired since"]).await;
}

#[tokio::test]
async fn a_client_says_why_it_does_not_trust_the_server() {
    let door = Door::open().await;
    let (_temp, _dir, other) = authority("curfew");
    let stranger = dial(&door.endpoint(), other.certificate_pem(), &door.operator());
    let refused = words(stranger.connect().await);
    assert!(refused.contains("not signed by the authority in this client's CA file"), "{refused}");
    door.log.expect(&["WARN", "it does not trust this controller's authority"]).await;

    let elsewhere = door.dial(&door.operator()).with_server_name("ctl.example").unwrap();
    let refused = words(elsewhere.connect().await);
    assert!(
        refused.contains(
            "it is not made for ctl.example, but for localhost, 127.0.0.1; dial one of these names"
        ),
        "{refused}"
    );
    door.log.expect(&["WARN", "did not accept this controller's certificate"]).await;
}

#[tokio::test]
async fn a_client_says_why_it_cannot_reach_the_server() {
    let door = Door::open().await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("https://127.0.0.1:{}", free.local_addr().unwrap().port());
    let nowhere = dial(&endpoint, door.authority.certificate_pem(), &door.operator());

    let silent = words(nowhere.clone().with_timeout(Duration::from_secs(1)).connect().await);
    assert!(silent.contains("did not answer within 1 s"), "{silent}");

    let babbler = async {
        let (mut tcp, _) = free.accept().await.unwrap();
        tcp.write_all(b"220 mail.example ESMTP\r\n").await.unwrap();
        tcp.read_u8().await.unwrap();
    };
    // The one above is still in the queue.
    free.accept().await.unwrap();
    let (babble, ()) = tokio::join!(nowhere.connect(), babbler);
    let babble = words(babble);
    assert!(babble.contains("it does not speak TLS; is the port right?"), "{babble}");

    drop(free);
    let closed = words(nowhere.connect().await);
    assert!(closed.contains("nothing listens there; is the controller running"), "{closed}");
}

#[tokio::test]
async fn a_channel_that_lost_its_server_says_why_when_it_dials_again() {
    let (_temp, dir, own) = authority("curfew");
    let start = |port: u16| {
        let material =
            Material::ensure(&PkiSource::BuiltIn, &dir, &TrustDomain::default(), &["localhost".into()]);
        let tls = ServerTls::new(material.unwrap()).unwrap();
        Listener::bind(([127, 0, 0, 1], port).into(), tls).unwrap()
    };
    let listener = start(0);
    let port = listener.local_addr().unwrap().port();
    let (stop_tx, stop_rx) = tokio::sync::oneshot::channel::<()>();
    let (_reporter, service) = tonic_health::server::health_reporter();
    let serve = |listener: Listener, service: HealthServer<_>, stop_rx| {
        tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming_shutdown(
            listener.accept(),
            async {
                let _stopped: Result<(), tokio::sync::oneshot::error::RecvError> = stop_rx.await;
            },
        ))
    };
    let first = serve(listener, service.clone(), stop_rx);
    let issued = own.issue_operator("alice").unwrap();
    let channel =
        dial(&format!("https://localhost:{port}"), own.certificate_pem(), &issued).connect().await.unwrap();
    let mut client = HealthClient::new(channel);
    client.check(HealthCheckRequest::default()).await.unwrap();
    stop_tx.send(()).unwrap();
    first.await.unwrap().unwrap();

    let status = client.check(HealthCheckRequest::default()).await.unwrap_err();
    let reason = DialError::of_status(&status).map(ToString::to_string);
    assert!(reason.is_some_and(|reason| reason.contains("nothing listens there")), "{status:?}");

    let (_stop_tx, stop_rx) = tokio::sync::oneshot::channel();
    let _second = serve(start(port), service, stop_rx);
    client.check(HealthCheckRequest::default()).await.unwrap();
}
