//! References of the objects of a mapper to others, and where a tenant reads why one does not cross.

use std::collections::BTreeSet;

use tenet_translate::GroupKind;
use tenet_translate::rules::Reference;

use super::MapperSpec;
use crate::{Kind, Object, VirtualKey};

/// References of the objects of a kind that its table cannot tell.
#[derive(Clone, Debug)]
pub struct FurtherReferences {
    /// The kinds that they are to.
    pub kinds: Vec<GroupKind>,
    /// Finds them in an object.
    pub find: fn(&Object) -> BTreeSet<Reference>,
}

/// Object on which the reason why another does not cross is emitted.
#[derive(Clone, Copy, Debug)]
pub struct ReportsOn {
    /// Its kind.
    pub kind: Kind,
    /// Finds it from the object that does not cross.
    pub find: fn(&Object) -> Option<VirtualKey>,
}

impl MapperSpec {
    /// Sets a condition on an object without which its references are not needed on the host.
    ///
    /// ```
    /// use tenet_mapper::{MapperSpec, kinds};
    ///
    /// let spec = MapperSpec::new("pod", kinds::POD).refers_while(|pod| pod.str_at("/status/phase") != Some("Failed"));
    /// ```
    #[must_use]
    pub fn refers_while(self, refers: fn(&Object) -> bool) -> Self {
        Self { refers, ..self }
    }

    /// Adds references that the table cannot tell, to objects of these kinds in the namespace of the object. `find` sees
    /// the object alone.
    ///
    /// ```
    /// use std::collections::BTreeSet;
    /// use tenet_mapper::rules::Reference;
    /// use tenet_mapper::{MapperSpec, Object, kinds};
    ///
    /// fn login(route: &Object) -> BTreeSet<Reference> {
    ///     let name = route.annotation("example.com/login").map(str::to_owned);
    ///     name.map(|name| Reference { kind: kinds::SECRET.group_kind(), name }).into_iter().collect()
    /// }
    /// let spec = MapperSpec::new("route", kinds::SERVICE).also_refers(vec![kinds::SECRET.group_kind()], login);
    /// assert!(spec.refers_to(kinds::SECRET.group_kind()));
    /// ```
    #[must_use]
    pub fn also_refers(self, kinds: Vec<GroupKind>, find: fn(&Object) -> BTreeSet<Reference>) -> Self {
        for kind in &kinds {
            kind.register();
        }
        Self { further_references: Some(FurtherReferences { kinds, find }), ..self }
    }

    /// Returns the references of an object: those of the table, and the further ones.
    pub fn references(&self, object: &Object) -> BTreeSet<Reference> {
        let mut found = self.table.as_ref().map(|table| table.references(object.value())).unwrap_or_default();
        found.extend(self.further_references.iter().flat_map(|further| (further.find)(object)));
        found
    }

    /// Returns true if objects of the kind may refer to objects of this one.
    pub fn refers_to(&self, kind: GroupKind) -> bool {
        self.table.as_ref().is_some_and(|table| table.refers_to(kind))
            || self.further_references.as_ref().is_some_and(|further| further.kinds.contains(&kind))
    }

    /// Emits the reason why an object does not cross also on another virtual object, the one at which a tenant looks.
    /// The mapper reads its kind.
    ///
    /// ```
    /// use tenet_mapper::{MapperSpec, Object, VirtualKey, kinds};
    ///
    /// fn service(endpoints: &Object) -> Option<VirtualKey> {
    ///     Some(VirtualKey::new(endpoints.namespace(), endpoints.name()))
    /// }
    /// let spec = MapperSpec::new("endpoints", kinds::ENDPOINTS).reports_on(kinds::SERVICE, service);
    /// assert!(spec.reports_on.is_some());
    /// ```
    #[must_use]
    pub fn reports_on(self, kind: Kind, find: fn(&Object) -> Option<VirtualKey>) -> Self {
        Self { reports_on: Some(ReportsOn { kind, find }), ..self }
    }
}
