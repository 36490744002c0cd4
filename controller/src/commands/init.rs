//! `init`: from nothing to a controller that can be started and an operator who can use it. A second run makes
//! nothing that is there already, and renews an operator's certificate that is about to end.

use super::absolute;
use super::certificates::{local_endpoint, present, write_identity};
use crate::config::{Config, Flags};
use crate::data_dir::{DataDir, ensure_private_dir, write_private};
use crate::pki::{Authority, Identity, Material, Origin, PkiSource, server_names};
use anyhow::{Context as _, ensure};
use curfew_proto::context::{Context, ContextFile, DEFAULT_CONTEXT, with_context};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// An operator's certificate with less than this left is renewed: a third of its life.
const RENEWED_BELOW: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The operator if neither the command line nor the environment has a name.
const NAMELESS: &str = "operator";

/// `init`.
#[derive(Debug, clap::Args)]
pub(super) struct InitArgs {
    /// The operator's name, as it will be shown everywhere [default: your user name].
    #[arg(long, value_name = "NAME")]
    operator: Option<String>,
    /// The file to write the context into [default: ~/.config/curfew/config.toml].
    #[arg(long, value_name = "PATH")]
    context_file: Option<PathBuf>,
    /// The context's name.
    #[arg(long, value_name = "NAME", default_value = DEFAULT_CONTEXT)]
    context: String,
    /// How the operator's machine reaches the controller [default: https://localhost:PORT].
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
}

pub(super) fn init(flags: &Flags, config: &Config, args: &InitArgs) -> anyhow::Result<String> {
    ensure!(
        config.pki == PkiSource::BuiltIn,
        "this controller uses a PKI of your own (`pki` is set), so there is no authority to make; have it issue your \
         certificate, with the URI spiffe://{}/operator/NAME",
        config.trust_domain
    );
    let operator = Identity::operator(&operator_name(args))?;
    let context_file = context_file(args)?;
    let dir = DataDir::ensure(&absolute(&config.data_dir)?)?;
    let (authority, origin) = Authority::ensure(&dir, &config.trust_domain)?;
    let names = server_names(&config.names, config.listen);
    Material::ensure(&config.pki, &dir, &config.trust_domain, &names)?;

    let base = context_file.parent().unwrap_or(Path::new("")).to_owned();
    let identity_dir = base.join(&args.context);
    // The context first: a name that is taken must be found out before files are written beside it.
    let text = merged_context(&context_file, config, args)?;
    let made = ensure_operator(&identity_dir, &authority, &operator)
        .with_context(|| format!("cannot make {operator} the operator of context {:?}", args.context))?;
    // People keep such files elsewhere and link them: the link stays, what it points to is replaced.
    let written = context_file.canonicalize().unwrap_or_else(|_| context_file.clone());
    write_private(&written, text.as_bytes())?;

    let line = command_line(flags)?;
    let authority = match origin {
        Origin::Made => "made",
        Origin::Found => "found",
    };
    Ok(format!(
        "authority      {authority} in {}\n\
         certificate    for {}\n\
         operator       {} ({made})\n\
         context        {:?} in {}\n\n\
         Next:\n\
         1. start the controller:      {}\n\
         2. issue an agent's identity: {} agent-cert HOST --out DIR\n\
         3. see who is there:          curfew host list\n",
        dir.pki().display(),
        names.join(", "),
        operator,
        args.context,
        context_file.display(),
        line,
        line,
    ))
}

fn operator_name(args: &InitArgs) -> String {
    if let Some(name) = &args.operator {
        return name.clone();
    }
    let usable = |name: &String| Identity::operator(name).is_ok();
    // Under sudo the person is the one who called it.
    let said = ["SUDO_USER", "USER"].iter().find_map(|name| std::env::var(name).ok().filter(usable));
    said.unwrap_or_else(|| NAMELESS.to_owned())
}

fn context_file(args: &InitArgs) -> anyhow::Result<PathBuf> {
    let usual = || ContextFile::default_path(|name| std::env::var_os(name));
    let path = args.context_file.clone().or_else(usual);
    absolute(&path.context("neither HOME nor XDG_CONFIG_HOME is set; name a file with --context-file")?)
}

/// The context file's text with this controller's context in it.
fn merged_context(file: &Path, config: &Config, args: &InitArgs) -> anyhow::Result<String> {
    let present = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    };
    let endpoint = args.endpoint.clone().unwrap_or_else(|| local_endpoint(config.listen));
    let beside = Path::new(&args.context);
    let context = Context {
        endpoint,
        ca: beside.join("ca.pem"),
        certificate: beside.join("cert.pem"),
        key: beside.join("key.pem"),
        server_name: None,
    };
    with_context(&present, &args.context, &context)
        .with_context(|| format!("cannot add the context to {}", file.display()))
}

/// Issues the operator's certificate unless a good one is there; says which.
fn ensure_operator(out: &Path, authority: &Authority, operator: &Identity) -> anyhow::Result<String> {
    let until = |moment| humantime::format_rfc3339_seconds(moment).to_string();
    let same_authority =
        std::fs::read_to_string(out.join("ca.pem")).is_ok_and(|ca| ca == authority.certificate_pem());
    if let Ok(leaf) = present(out)
        && same_authority
        && out.join("key.pem").exists()
        && leaf.any_identity().is_ok_and(|(_, identity)| identity == *operator)
        && leaf.not_after > SystemTime::now() + RENEWED_BELOW
    {
        return Ok(format!("has a certificate until {}", until(leaf.not_after)));
    }
    let lifetime = crate::pki::Lifetime::of(operator, SystemTime::now());
    let issued = authority.issue(operator, &[], lifetime)?;
    ensure_private_dir(out)?;
    write_identity(out, authority, operator, &issued)?;
    Ok(format!("certificate issued until {}", until(issued.not_after)))
}

/// How this controller is started with the settings that were typed; the file's are read again anyway.
fn command_line(flags: &Flags) -> anyhow::Result<String> {
    let mut words = vec!["curfew-controller".to_owned()];
    let mut say = |flag: &str, value: &str| words.extend([flag.to_owned(), quoted(value)]);
    if let Some(config) = &flags.config {
        say("--config", &absolute(config)?.display().to_string());
    }
    if let Some(data_dir) = &flags.data_dir {
        say("--data-dir", &absolute(data_dir)?.display().to_string());
    }
    if let Some(listen) = &flags.listen {
        say("--listen", listen);
    }
    for name in &flags.names {
        say("--name", name);
    }
    if let Some(domain) = &flags.trust_domain {
        say("--trust-domain", domain);
    }
    Ok(words.join(" "))
}

/// A word that a shell reads back as it is.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,@=+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}
