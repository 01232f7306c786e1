//! `tenet certs`.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tenet_install::{names, pki, secret};
use time::{Duration, OffsetDateTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::create::stateful_set;
use crate::host::{Host, HostArgs};
use crate::inside::Inside;
use crate::output::{Output, print};
use crate::verdict::Verdict;

/// Examine the certificates of a virtual cluster.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show when each certificate ends. The exit code is 1 if one has ended or cannot be read.
    Check(CheckArgs),
}

#[derive(Debug, clap::Args)]
struct CheckArgs {
    /// Name of the virtual cluster.
    name: String,
    #[command(flatten)]
    host: HostArgs,
    /// Format of the output.
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

/// A certificate of a virtual cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// Its name for people.
    pub(crate) name: String,
    /// Time at which it ends; `None` if it cannot be read.
    pub(crate) end: Option<OffsetDateTime>,
    /// Time before its end from which it is reported as a warning.
    warn_before: Duration,
}

/// Leaf certificates are valid for a year, and a running syncer renews them when a third of it is left.
const LEAF_WARNING: Duration = Duration::days(90);
/// Authorities are valid for ten years, and nobody renews them.
const AUTHORITY_WARNING: Duration = Duration::days(365);

/// Authorities in their Secret: key and name.
const AUTHORITIES: [(&str, &str); 2] =
    [("ca.crt", "authority"), ("front-proxy-ca.crt", "authority of aggregated API servers")];

pub(crate) async fn run(args: &Args) -> Result<ExitCode> {
    let Command::Check(args) = &args.command;
    let host = args.host.connect().await?;
    let set = stateful_set(&host, &args.name).await?;
    let inside = if set["spec"]["replicas"] == 0 { None } else { Some(Inside::connect(&host, &args.name).await?) };
    let (certificates, now) = (gather(&host, &args.name, inside.as_ref()).await?, OffsetDateTime::now_utc());
    let rows: Vec<Value> = certificates.iter().map(|certificate| certificate.row(now)).collect();
    print(&rows, args.output, &["status", "name", "ends", "days"])?;
    let is_bad = certificates.iter().any(|certificate| certificate.verdict(now) == Verdict::Fail);
    Ok(if is_bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Reads the certificates in the Secrets and, with a connection, that of the virtual API server.
pub(crate) async fn gather(host: &Host, name: &str, inside: Option<&Inside>) -> Result<Vec<Certificate>> {
    let read = async |secret: String| {
        host.get("secrets", &secret).await.with_context(|| format!("cannot read Secret {secret}"))
    };
    let authorities = read(names::certificates(name)).await?;
    let text = |key: &str| secret::text(&authorities, key).unwrap_or_default();
    let mut all: Vec<Certificate> = AUTHORITIES
        .iter()
        .map(|(key, name)| Certificate {
            name: (*name).to_owned(),
            end: pki::end(&text(key)),
            warn_before: AUTHORITY_WARNING,
        })
        .collect();
    let admin = secret::text(&read(names::kubeconfig(name)).await?, "client-certificate").unwrap_or_default();
    let leaf = |name: &str, end| Certificate { name: name.to_owned(), end, warn_before: LEAF_WARNING };
    all.push(leaf("kubeconfig of the administrator", pki::end(&admin)));
    if let Some(inside) = inside {
        all.push(leaf("virtual API server", served(inside, &text("ca.crt")).await.ok().flatten()));
    }
    Ok(all)
}

/// Returns the end of the certificate that the virtual API server shows, if its authority has issued it.
async fn served(inside: &Inside, authority: &str) -> Result<Option<OffsetDateTime>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connection = TcpStream::connect(inside.address()).await?;
    let server = ServerName::try_from("localhost")?;
    let session = TlsConnector::from(Arc::new(config)).connect(server, connection).await?;
    Ok(session.get_ref().1.peer_certificates().and_then(|chain| pki::end_of_der(chain.first()?)))
}

impl Certificate {
    pub(crate) fn verdict(&self, now: OffsetDateTime) -> Verdict {
        match self.end {
            None => Verdict::Fail,
            Some(end) if end <= now => Verdict::Fail,
            Some(end) if end - now < self.warn_before => Verdict::Warn,
            Some(_) => Verdict::Ok,
        }
    }

    fn row(&self, now: OffsetDateTime) -> Value {
        json!({
            "name": self.name,
            "status": self.verdict(now).as_str(),
            "ends": self.end.map(|end| end.date().to_string()),
            "days": self.end.map(|end| (end - now).whole_days()),
        })
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_certificate_is_reported_before_it_ends() {
        let now = datetime!(2026-01-01 00:00 UTC);
        let leaf = |end| Certificate { name: "leaf".to_owned(), end, warn_before: LEAF_WARNING };
        for (days, verdict) in [(364, Verdict::Ok), (91, Verdict::Ok), (89, Verdict::Warn), (0, Verdict::Fail)] {
            assert_eq!(leaf(Some(now + Duration::days(days))).verdict(now), verdict, "{days}");
        }
        assert_eq!(leaf(None).verdict(now), Verdict::Fail);
        let row = leaf(Some(datetime!(2026-01-31 12:00 UTC))).row(now);
        assert_eq!(row, json!({"name": "leaf", "status": "warn", "ends": "2026-01-31", "days": 30}));
    }
}
