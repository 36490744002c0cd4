//! `agent-cert` and `operator-cert`: an identity in a directory that is carried to its bearer.

use super::absolute;
use crate::config::Config;
use crate::data_dir::{DataDir, ensure_private_dir, write_private};
use crate::pki::{Authority, Identity, Issued, Leaf, PkiSource};
use anyhow::{Context, bail, ensure};
use curfew_proto::dial::pem;
use curfew_types::HostName;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// `agent-cert`.
#[derive(Debug, clap::Args)]
pub(super) struct AgentArgs {
    /// The host's name, as it will be shown everywhere: lower-case letters, digits, '-' and '.'.
    #[arg(value_name = "HOST")]
    name: HostName,
    /// The directory to write into; made if there is none.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// `operator-cert`.
#[derive(Debug, clap::Args)]
pub(super) struct OperatorArgs {
    /// The operator's name, as it will be shown everywhere: letters, digits, '-', '_' and '.'.
    #[arg(value_name = "NAME")]
    name: String,
    /// The directory to write into; made if there is none.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(super) fn agent(config: &Config, args: &AgentArgs) -> anyhow::Result<String> {
    let authority = authority(config)?;
    let out = absolute(&args.out)?;
    let issued = authority.issue_agent(&args.name)?;
    write_identity(&out, &authority, &Identity::Agent(args.name.clone()), &issued)?;
    let agent_file = out.join("agent.toml");
    if !agent_file.exists() {
        write_private(&agent_file, agent_config(&endpoint(config)).as_bytes())?;
    }
    Ok(format!(
        "The identity of agent {} is in {}, valid until {}.\n\n\
         Copy its files to /etc/curfew on {}, see that agent.toml names the controller's address and the providers \
         you want, and start curfew-agent there. key.pem is a secret.\n",
        args.name,
        out.display(),
        until(&issued),
        args.name,
    ))
}

pub(super) fn operator(config: &Config, args: &OperatorArgs) -> anyhow::Result<String> {
    let authority = authority(config)?;
    let out = absolute(&args.out)?;
    let issued = authority.issue_operator(&args.name)?;
    write_identity(&out, &authority, &Identity::operator(&args.name)?, &issued)?;
    Ok(format!(
        "The identity of operator {} is in {}, valid until {}.\n\n\
         Copy ca.pem, cert.pem and key.pem (a secret) to the operator's machine, and name them in \
         ~/.config/curfew/config.toml there:\n\n\
         current = \"default\"\n\n[contexts.default]\nendpoint = \"{}\"\nca = \"ca.pem\"\n\
         certificate = \"cert.pem\"\nkey = \"key.pem\"\n",
        args.name,
        out.display(),
        until(&issued),
        endpoint(config),
    ))
}

/// The built-in authority, which only a data directory of `init` or `run` has.
fn authority(config: &Config) -> anyhow::Result<Authority> {
    ensure!(
        config.pki == PkiSource::BuiltIn,
        "this controller uses a PKI of your own (`pki` is set): have it issue the certificate, with the URI \
         spiffe://{}/agent/HOST or spiffe://{}/operator/NAME",
        config.trust_domain,
        config.trust_domain
    );
    let dir = DataDir::existing(&config.data_dir)?;
    Ok(Authority::open(&dir, &config.trust_domain)?)
}

/// Writes `ca.pem`, `cert.pem` and `key.pem`. A directory that holds somebody else's identity is left alone.
pub(super) fn write_identity(
    out: &Path,
    authority: &Authority,
    identity: &Identity,
    issued: &Issued,
) -> anyhow::Result<()> {
    let certificate = out.join("cert.pem");
    if certificate.exists() {
        let present = bearer(&certificate);
        if present.as_ref() != Some(identity) {
            let present = present.map_or("something else".to_owned(), |present| present.to_string());
            bail!("{} holds the identity of {present}, which stays; use another directory", out.display());
        }
    }
    ensure_private_dir(out)?;
    write_private(&out.join("ca.pem"), authority.certificate_pem().as_bytes())?;
    write_private(&out.join("key.pem"), issued.key_pem.as_bytes())?;
    write_private(&certificate, issued.certificate_pem.as_bytes())?;
    Ok(())
}

fn bearer(certificate: &Path) -> Option<Identity> {
    let chain = pem::certificates(&pem::read(certificate).ok()?, certificate.display()).ok()?;
    Leaf::read(chain.first()?).ok()?.any_identity().ok().map(|(_, identity)| identity)
}

/// How clients of this controller will most likely dial it: the first name it was given, then its address.
pub(super) fn endpoint(config: &Config) -> String {
    let port = config.listen.port();
    match config.names.first() {
        Some(name) if name.contains(':') => format!("https://[{name}]:{port}"),
        Some(name) => format!("https://{name}:{port}"),
        None => local_endpoint(config.listen),
    }
}

/// How this machine itself dials it.
pub(super) fn local_endpoint(listen: SocketAddr) -> String {
    if listen.ip().is_unspecified() || listen.ip().is_loopback() {
        return format!("https://localhost:{}", listen.port());
    }
    format!("https://{listen}")
}

pub(super) fn until(issued: &Issued) -> String {
    humantime::format_rfc3339_seconds(issued.not_after).to_string()
}

fn agent_config(endpoint: &str) -> String {
    format!(
        "# The agent reads this from /etc/curfew/agent.toml.\n\
         controller = \"{endpoint}\"\n\
         ca = \"/etc/curfew/ca.pem\"\n\
         certificate = \"/etc/curfew/cert.pem\"\n\
         key = \"/etc/curfew/key.pem\"\n\
         \n\
         # The way to the guests. One * stands for a guest's name; see the README for other places and providers.\n\
         # [providers.qga]\n\
         # sockets = \"/var/run/qemu-server/*.qga\"\n\
         # pidfile = \"/var/run/qemu-server/*.pid\"\n\
         # [providers.logind]   # this machine itself\n\
         # enabled = true\n"
    )
}

/// Reads what `write_identity` wrote, for a second `init`.
pub(super) fn present(out: &Path) -> anyhow::Result<Leaf> {
    let certificate = out.join("cert.pem");
    let chain = pem::certificates(&pem::read(&certificate)?, certificate.display())?;
    let first = chain.first().context("there is no certificate")?;
    Ok(Leaf::read(first)?)
}
