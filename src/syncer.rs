//! The syncer with the built-in mappers and the sockets of the virtual API server, and the bootstrap of its pod.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser};
use tenet_install::bootstrap;
use tenet_syncer::Args;

/// Command line of the program.
#[derive(Debug, Parser)]
#[command(name = "tenet-syncer", version)]
struct Program {
    #[command(flatten)]
    syncer: Args,
    /// Folder in which the certificates of the control plane are renewed; without it, none are.
    #[arg(long, value_name = "DIR", requires = "name", requires = "host_namespace")]
    certificates: Option<PathBuf>,
    #[command(flatten)]
    server: bootstrap::CertificateArgs,
}

const BOOTSTRAP: &str = "bootstrap";

/// Runs what a command line asks for: the syncer, until it is told to stop, or a command.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let matches = command().get_matches_from(args);
    match parsed(&matches) {
        Ok(Parsed::Bootstrap(args)) => bootstrap::run(*args),
        Ok(Parsed::Syncer(program)) => run(*program),
        Err(error) => error.exit(),
    }
}

enum Parsed {
    Bootstrap(Box<bootstrap::Args>),
    Syncer(Box<Program>),
}

fn command() -> clap::Command {
    Program::command().subcommand(bootstrap::Args::command().name(BOOTSTRAP))
}

fn parsed(matches: &ArgMatches) -> Result<Parsed, clap::Error> {
    match matches.subcommand() {
        Some((BOOTSTRAP, args)) => {
            bootstrap::Args::from_arg_matches(args).map(|args| Parsed::Bootstrap(Box::new(args)))
        }
        _ => Program::from_arg_matches(matches).map(|program| Parsed::Syncer(Box::new(program))),
    }
}

/// Returns the rights of a syncer with this configuration on the host, as YAML.
pub fn rights_of(config: &str) -> anyhow::Result<String> {
    tenet_syncer::role::host_documents(config, &tenet_core_mappers::all(), &tenet_sockets::Sockets)
}

fn run(program: Program) -> ExitCode {
    if let Some(renewal) = renewal(&program)
        && let Err(error) = bootstrap::spawn_renewal(renewal)
    {
        eprintln!("tenet-syncer: cannot start the renewal of certificates: {error}");
        return ExitCode::FAILURE;
    }
    tenet_syncer::main_with(program.syncer, tenet_core_mappers::all(), tenet_sockets::Sockets)
}

/// Returns the renewal of the certificates in `--certificates`; clap has checked that name and namespace are given.
fn renewal(program: &Program) -> Option<bootstrap::Renewal> {
    let Program { syncer, certificates, server } = program;
    let request = server.clone().request(syncer.name.clone()?, syncer.host_namespace.clone()?, certificates.clone()?);
    Some(bootstrap::Renewal { request, host_kubeconfig: syncer.host_kubeconfig.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Parsed, clap::Error> {
        parsed(&command().try_get_matches_from(line.split(' '))?)
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn the_bootstrap_has_flags_of_its_own() {
        let line = "tenet-syncer bootstrap --name vc-1 --host-namespace a --tls-san=x,y --tls-san=z";
        let Ok(Parsed::Bootstrap(args)) = parse(line) else { panic!("no bootstrap") };
        assert_eq!(
            (args.name.as_str(), args.server.tls_san.as_slice()),
            ("vc-1", &["x", "y", "z"].map(String::from)[..])
        );
        assert!(parse("tenet-syncer bootstrap --name vc-1").is_err());
    }

    #[test]
    fn a_syncer_renews_certificates_only_when_told_where_they_are() {
        let Ok(Parsed::Syncer(program)) = parse("tenet-syncer --config a.yaml --name vc-1 --host-namespace a") else {
            panic!("no syncer")
        };
        assert!(renewal(&program).is_none());
        let line = "tenet-syncer --config a.yaml --name vc-1 --host-namespace a --certificates /pki --tls-san x";
        let Ok(Parsed::Syncer(program)) = parse(line) else { panic!("no syncer") };
        assert_eq!(renewal(&program).map(|renewal| renewal.request.tls_sans), Some(vec!["x".to_owned()]));
        assert!(parse("tenet-syncer --config a.yaml --certificates /pki").is_err());
        let line = format!("{line} --control-plane-namespace b --pod-ips 10.1.0.7,fd00::7");
        let Ok(Parsed::Syncer(program)) = parse(&line) else { panic!("no syncer") };
        let request = renewal(&program).map(|renewal| renewal.request);
        let namespaces = request.map(|request| (request.namespace, request.workloads.map(|it| it.namespace)));
        assert_eq!(namespaces, Some(("b".to_owned(), Some("a".to_owned()))), "its Secrets are with the control plane");
        assert!(parse("tenet-syncer --config a.yaml claim show").is_ok());
    }
}
