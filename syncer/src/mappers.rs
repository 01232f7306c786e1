//! The mappers of a syncer, by id and by kind.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tenet_config::Kinds;
use tenet_mapper::{GroupKind, Mapper, MapperId};
use thiserror::Error;

/// Mappers that cannot work together.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum MappersError {
    /// Two mappers share an id.
    #[error("two mappers have the name {0}")]
    Twice(MapperId),
    /// Two mappers of one kind would write against each other.
    #[error("the mappers {0} and {1} are both for {2}")]
    Rivals(MapperId, MapperId, GroupKind),
    /// A mapper has no input of its own kind.
    #[error("the mapper {0} does not read its own kind {1}")]
    Blind(MapperId, GroupKind),
}

/// Returns the mappers that run with a configuration.
pub(crate) fn enabled(config: &Kinds, mappers: &[Box<dyn Mapper>]) -> BTreeSet<MapperId> {
    let names = |list: &[String], id: MapperId| list.iter().any(|name| name == id.as_str());
    let specs = || mappers.iter().map(|mapper| mapper.spec());
    let is_chosen = |id| !names(&config.disable, id);
    let first: BTreeSet<_> = specs()
        .filter(|spec| is_chosen(spec.id) && (!spec.opt_in || names(&config.enable, spec.id)))
        .map(|spec| spec.id)
        .collect();
    let is_relieved = |id: &MapperId| {
        specs().any(|spec| spec.id == *id && spec.stands_in_for.is_some_and(|other| first.contains(&other)))
    };
    first.iter().filter(|id| !is_relieved(id)).copied().collect()
}

/// The mappers of a syncer.
#[derive(Default)]
pub struct Mappers {
    mappers: BTreeMap<MapperId, Box<dyn Mapper>>,
    by_kind: HashMap<GroupKind, MapperId>,
}

impl Mappers {
    /// All of these mappers.
    pub fn new(mappers: Vec<Box<dyn Mapper>>) -> Result<Self, MappersError> {
        let mut all = Self::default();
        for mapper in mappers {
            all.add(mapper)?;
        }
        Ok(all)
    }

    fn add(&mut self, mapper: Box<dyn Mapper>) -> Result<(), MappersError> {
        let spec = mapper.spec();
        let (id, kind) = (spec.id, spec.kind.group_kind());
        if !spec.inputs.iter().any(|input| input.kind == kind) {
            return Err(MappersError::Blind(id, kind));
        }
        if let Some(rival) = self.by_kind.insert(kind, id) {
            return Err(MappersError::Rivals(rival, id, kind));
        }
        match self.mappers.insert(id, mapper) {
            Some(_) => Err(MappersError::Twice(id)),
            None => Ok(()),
        }
    }

    /// The mapper of an id.
    pub fn get(&self, id: MapperId) -> Option<&dyn Mapper> {
        self.mappers.get(&id).map(AsRef::as_ref)
    }

    /// The mapper of a kind.
    pub fn of_kind(&self, kind: impl Into<GroupKind>) -> Option<&dyn Mapper> {
        self.by_kind.get(&kind.into()).and_then(|id| self.get(*id))
    }

    /// The mappers, in order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Mapper> {
        self.mappers.values().map(AsRef::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use tenet_mapper::{CopyMapper, Kind, MapperSpec, kinds, rules::Table};

    use super::*;

    fn mapper(name: &'static str, kind: Kind) -> Box<dyn Mapper> {
        Box::new(CopyMapper::of_table(MapperSpec::both_sides(name, kind, Table::default())))
    }

    #[test]
    fn a_mapper_is_on_as_the_configuration_and_its_own_spec_say() {
        let of = |spec: MapperSpec| -> Box<dyn Mapper> { Box::new(CopyMapper::of_table(spec)) };
        let spec = |name, kind| MapperSpec::both_sides(name, kind, Table::default());
        let all = [
            of(spec("pod", kinds::POD)),
            of(spec("secret", kinds::SECRET).opt_in()),
            of(spec("secret-notice", kinds::SECRET).stands_in_for(MapperId::new("secret"))),
        ];
        for (enable, disable, expected) in [
            (&[][..], &[][..], &["pod", "secret-notice"][..]),
            (&["secret"], &[], &["pod", "secret"]),
            (&["secret"], &["secret"], &["pod", "secret-notice"]),
            (&[], &["pod", "secret-notice"], &[]),
        ] {
            let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
            let config = Kinds { enable: list(enable), disable: list(disable), ..Kinds::default() };
            let found: Vec<_> = enabled(&config, &all).into_iter().map(MapperId::as_str).collect();
            assert_eq!(found, expected, "{config:?}");
        }
    }

    #[test]
    fn a_kind_has_one_mapper_and_a_kind_of_that_name_in_another_group_has_its_own() {
        let knative = Kind::of("serving.knative.dev", "v1", "Service", "services");
        let all = Mappers::new(vec![mapper("service", kinds::SERVICE), mapper("knative", knative)]).unwrap();
        assert_eq!(all.of_kind(kinds::SERVICE).unwrap().spec().id, MapperId::new("service"));
        assert_eq!(all.of_kind(knative).unwrap().spec().id, MapperId::new("knative"));
        let beta = Kind::of("serving.knative.dev", "v1beta1", "Service", "services");
        let rivals = Mappers::new(vec![mapper("knative", knative), mapper("beta", beta)]).err().unwrap();
        assert_eq!(rivals.to_string(), "the mappers knative and beta are both for Service.serving.knative.dev");
        let twice = Mappers::new(vec![mapper("same", knative), mapper("same", kinds::POD)]).err().unwrap();
        assert_eq!(twice, MappersError::Twice(MapperId::new("same")));
        let blind = CopyMapper::of_table(MapperSpec::new("blind", kinds::POD));
        assert!(matches!(Mappers::new(vec![Box::new(blind)]), Err(MappersError::Blind(..))));
    }
}
