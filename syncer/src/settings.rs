//! Configuration of the mappers: mappers own sections of the file, and the file permits fields that their rule
//! tables refuse.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use serde_json::Value;
use tenet_config::{Config, Known, Names as NamesConfig, UnknownFields};
use tenet_mapper::rules::{Action, Unknown};
use tenet_mapper::translate::labels::{Globs, LabelPolicy};
use tenet_mapper::translate::{NameScheme, Names};
use tenet_mapper::{Facts, Kind, Kubelets, Mapper, MapperSpec, Policies, Section, Sections};

/// Part of the configuration that the mappers of a program define.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    known: Known,
    sections: Vec<Section>,
    /// Each kind that has a rule table, and the list that permits what the table refuses.
    permits: Vec<(Kind, Permits)>,
}

/// The list of permitted fields of one kind.
#[derive(Clone, Debug)]
enum Permits {
    /// A section of the mapper's own.
    Section(Section),
    /// `kinds.allow`, under this name.
    Kinds(String),
}

impl Settings {
    /// Collects what these mappers bring along. Two sections of one name or of one type are an error.
    pub fn of(mappers: &[Box<dyn Mapper>]) -> anyhow::Result<Self> {
        let mut settings = Self::default();
        for spec in mappers.iter().map(|mapper| mapper.spec()) {
            settings.add(spec).with_context(|| format!("mapper {}", spec.id))?;
        }
        Ok(settings)
    }

    /// Returns the names and sections that a configuration file is checked against.
    pub fn known(&self) -> &Known {
        &self.known
    }

    fn add(&mut self, spec: &MapperSpec) -> anyhow::Result<()> {
        self.known.mappers.push(spec.id.to_string());
        for section in &spec.sections {
            let twin = self.sections.iter().find(|other| other.is_same_type(section));
            if let Some(twin) = twin {
                anyhow::bail!("the sections {} and {} have the same type", twin.name(), section.name());
            }
            self.known.add(of_file(spec, section))?;
            self.sections.push(*section);
        }
        if spec.table.is_some() {
            let own = spec.sections.iter().find(|section| section.permitting_field().is_some());
            if own.is_none() {
                self.known.refused.insert(identity(spec.kind), refused(spec));
                self.known.sealed.insert(identity(spec.kind), sealed(spec));
            }
            let permits = own.map_or_else(|| Permits::Kinds(identity(spec.kind)), |section| Permits::Section(*section));
            self.permits.push((spec.kind, permits));
        }
        Ok(())
    }

    /// Returns the values that mappers read from a configuration; the mappers that run are still to be named.
    pub fn facts(&self, config: &Config, cluster_id: &str, virtual_version: &str) -> anyhow::Result<Facts> {
        let sections = Sections::read(&self.sections, |name| config.sections.get(name))
            .map_err(|error| anyhow::anyhow!("configuration section {error}"))?;
        Ok(Facts {
            names: Names::new(config.name.as_str(), config.host.namespace.as_str(), scheme(config)),
            cluster_id: cluster_id.to_owned(),
            host_namespace_uid: String::new(),
            virtual_version: virtual_version.to_owned(),
            annotations: Globs::new(config.annotations.globs()),
            labels: LabelPolicy::new(&config.labels.allow, &config.labels.deny),
            api_service: config.service_name().to_owned(),
            kubelets: Kubelets {
                enabled: config.kubelet.enabled,
                addresses: config.kubelet.addresses,
                port: config.kubelet.port,
            },
            policies: self.policies(config),
            mappers: BTreeSet::new(),
            sections,
            reservation: i64::try_from(config.webhook.reservation.as_secs()).unwrap_or(i64::MAX),
        })
    }

    fn policies(&self, config: &Config) -> Policies {
        let mut policies = Policies::new(match config.unknown_fields {
            UnknownFields::Refuse => Unknown::Refuse,
            UnknownFields::Drop => Unknown::Drop,
        });
        for (kind, permits) in &self.permits {
            let paths: Vec<String> = match permits {
                Permits::Kinds(name) => config.kinds.allow.get(name).cloned().unwrap_or_default(),
                Permits::Section(section) => {
                    config.sections.get(section.name()).map(|value| section.permitted(value)).unwrap_or_default()
                }
            };
            for path in paths {
                policies.permit(*kind, path);
            }
        }
        policies
    }
}

/// Returns the naming scheme of the host objects.
pub fn scheme(config: &Config) -> NameScheme {
    match config.names {
        NamesConfig::Tenet => NameScheme::Tenet,
        NamesConfig::Vcluster => NameScheme::Vcluster,
    }
}

/// A section as the configuration takes it. A list that permits fields may name those that the table refuses.
fn of_file(spec: &MapperSpec, section: &Section) -> tenet_config::Section {
    let mut schema = section.schema();
    if let Some(field) = section.permitting_field() {
        let items = &mut schema["properties"][field]["items"];
        items["enum"] = refused(spec).into();
        items[tenet_config::SEALED] = sealed(spec).into_iter().map(|(path, why)| (path, Value::String(why))).collect();
    }
    tenet_config::Section {
        name: section.name().to_owned(),
        schema,
        complete: section.complete(),
        fixed: section.fixed_fields().iter().map(ToString::to_string).collect(),
    }
}

/// The paths that an installation may permit: those that a table refuses, and those that the mapper decides about.
fn refused(spec: &MapperSpec) -> Vec<String> {
    let rules = spec.table.iter().flat_map(|table| table.rules());
    let refused =
        rules.filter(|(_, rule)| matches!(rule.action, Action::Refuse | Action::Set) && rule.sealed.is_empty());
    refused.map(|(path, _)| path.to_owned()).collect()
}

/// The paths that no installation may permit, each with the reason.
fn sealed(spec: &MapperSpec) -> BTreeMap<String, String> {
    let rules = spec.table.iter().flat_map(|table| table.rules());
    let sealed = rules.filter(|(_, rule)| !rule.sealed.is_empty());
    sealed.map(|(path, rule)| (path.to_owned(), rule.sealed.to_owned())).collect()
}

/// The name of a kind in the configuration: `Service`, `Ingress.networking.k8s.io`.
fn identity(kind: Kind) -> String {
    if kind.group.is_empty() { kind.kind.to_owned() } else { format!("{}.{}", kind.kind, kind.group) }
}

#[cfg(test)]
mod tests;
