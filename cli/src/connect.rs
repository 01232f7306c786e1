//! `tenet connect` and `tenet disconnect`.

mod contexts;
mod forward;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::create::{stateful_set, text, until_ready};
use crate::end::Ends;
use crate::host::{Host, HostArgs};
use crate::steps::Steps;
pub(crate) use contexts::{DisconnectArgs, disconnect, previous};
pub(crate) use forward::Forward;

/// Connect to a virtual cluster: write a kubeconfig, or run one command inside.
///
/// Without an address (--server, a load balancer, or a node port), the connection leads through the API server of the
/// host, as long as the command runs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the virtual cluster.
    name: String,
    #[command(flatten)]
    host: HostArgs,
    /// Address of the virtual API server, such as `https://NODE:PORT`.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// File to write.
    #[arg(long, value_name = "FILE", default_value = FILE, conflicts_with_all = ["print", "merge"])]
    file: PathBuf,
    /// Print the kubeconfig instead of writing a file. It needs an address.
    #[arg(long)]
    print: bool,
    /// Add a context to your kubeconfig and select it, instead of writing a file. It needs an address.
    #[arg(long, conflicts_with = "print")]
    merge: bool,
    /// Port on this machine when the connection leads through the host [default: a free one].
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    local_port: u16,
    /// Command to run with `KUBECONFIG` set, instead of writing a file.
    #[arg(last = true)]
    command: Vec<OsString>,
}

impl Args {
    /// Returns the arguments of a command line with a name alone.
    pub(crate) fn of(name: &str, host: &HostArgs) -> Self {
        Self {
            name: name.to_owned(),
            host: host.clone(),
            server: None,
            file: FILE.into(),
            print: false,
            merge: false,
            local_port: 0,
            command: Vec::new(),
        }
    }
}

/// File that is written by default.
const FILE: &str = "kubeconfig.yaml";
const READY_LIMIT: Duration = Duration::from_secs(120);

pub(crate) async fn run(args: &Args) -> Result<ExitCode> {
    let host = args.host.connect().await?;
    let set = stateful_set(&host, &args.name).await?;
    if set["spec"]["replicas"] == 0 {
        bail!("virtual cluster {} is paused: tenet resume {} -n {}", args.name, args.name, host.namespace);
    }
    until_ready(&host, &args.name, READY_LIMIT, &mut Steps::new()).await?;
    let kubeconfig = kubeconfig(&host, &args.name).await?;
    let address = match &args.server {
        Some(server) => Some(server.clone()),
        None => address(&host, &args.name).await?,
    };
    let (server, forward) = match address {
        Some(address) => (address, None),
        None if args.print || args.merge => bail!(
            "virtual cluster {} has no address outside of the host: pass --server, create it with --expose, \
             or connect without --print and --merge",
            args.name
        ),
        None => {
            let forward = Forward::start(&host, &args.name, args.local_port).await?;
            (format!("https://127.0.0.1:{}", forward.port()), Some(forward))
        }
    };
    let kubeconfig = with_server(&kubeconfig, &server)?;
    if !args.command.is_empty() {
        return run_inside(&args.command, &kubeconfig, forward).await;
    }
    if args.print {
        print!("{kubeconfig}");
    } else if args.merge {
        let context = contexts::merge(args.host.kubeconfig.as_deref(), &args.name, &host.namespace, &kubeconfig)?;
        println!("current context: {context} ({server}); tenet disconnect selects the previous one");
    } else {
        write_private(&args.file, &kubeconfig)?;
        println!("wrote {}: kubectl --kubeconfig {} get namespaces", args.file.display(), args.file.display());
    }
    if let Some(forward) = forward {
        println!("forwarding {server} to {}; Ctrl-C ends", args.name);
        let mut ends = Ends::new()?;
        tokio::select! {
            end = ends.next() => return Ok(end.status()),
            error = forward.ended() => return Err(error),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads the kubeconfig that the bootstrap has made.
pub(crate) async fn kubeconfig(host: &Host, name: &str) -> Result<String> {
    let secret = tenet_install::names::kubeconfig(name);
    let found = host.get("secrets", &secret).await.context("cannot read the kubeconfig of the virtual cluster")?;
    let text = tenet_install::secret::text(&found, "config");
    text.with_context(|| format!("Secret {secret} in namespace {} holds no kubeconfig", host.namespace))
}

/// Returns the address of the virtual API server outside of the host cluster; `None` if it has none.
async fn address(host: &Host, name: &str) -> Result<Option<String>> {
    let service = host.get("services", name).await?;
    let ingress = &service["status"]["loadBalancer"]["ingress"][0];
    if let Some(point) = ingress["ip"].as_str().or(ingress["hostname"].as_str()) {
        return Ok(Some(format!("https://{point}:443")));
    }
    if service["spec"]["type"] == "NodePort"
        && let Some(port) = service["spec"]["ports"][0]["nodePort"].as_u64()
    {
        // Without the right to read nodes there is no address to offer.
        let nodes = host.api.list("/api/v1/nodes").await.unwrap_or_default();
        let addresses =
            nodes.iter().flat_map(|node| node["status"]["addresses"].as_array().cloned().unwrap_or_default());
        let internal = addresses
            .filter(|address| address["type"] == "InternalIP")
            .find_map(|it| Some(it["address"].as_str()?.to_owned()));
        return Ok(internal.map(|address| format!("https://{address}:{port}")));
    }
    Ok(None)
}

/// Replaces the address of the server.
pub(crate) fn with_server(kubeconfig: &str, server: &str) -> Result<String> {
    let mut parsed: Value = serde_saphyr::from_str(kubeconfig).context("cannot read the kubeconfig")?;
    parsed["clusters"][0]["cluster"]["server"] = server.into();
    Ok(serde_saphyr::to_string(&parsed)?)
}

/// Writes a file that only its owner can read.
fn write_private(path: &Path, text: &str) -> Result<()> {
    tenet_install::private_file::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Runs a command with its own kubeconfig, which is removed afterwards.
async fn run_inside(command: &[OsString], kubeconfig: &str, forward: Option<Forward>) -> Result<ExitCode> {
    let file = tempfile::NamedTempFile::with_prefix("tenet-").context("cannot create a temporary file")?;
    fs::write(file.path(), kubeconfig).context("cannot write a temporary file")?;
    let Some((program, args)) = command.split_first() else { bail!("no command") };
    let mut child = tokio::process::Command::new(program)
        .args(args)
        .env("KUBECONFIG", file.path())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot run {}", program.to_string_lossy()))?;
    let status = match forward {
        Some(forward) => tokio::select! {
            status = child.wait() => status?,
            error = forward.ended() => return Err(error),
        },
        None => child.wait().await?,
    };
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

fn name_of(value: &Value) -> &str {
    text(&value["name"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_address_of_the_server_changes() {
        let text = "clusters:\n- name: a\n  cluster: {server: 'https://a', certificate-authority-data: eA==}\n";
        let changed: Value = serde_saphyr::from_str(&with_server(text, "https://b:1").unwrap()).unwrap();
        assert_eq!(changed["clusters"][0]["cluster"]["server"], "https://b:1");
        assert_eq!(changed["clusters"][0]["cluster"]["certificate-authority-data"], "eA==");
    }
}
