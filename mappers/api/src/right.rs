//! Rights as data: what a syncer asks of the API servers, and why.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use tenet_translate::rules::Action;

use crate::{Cause, Effect, Elsewhere, Facts, Kind, MapperSpec, Side, kinds};

/// A verb of the Kubernetes authorization. There is no `update` and no `deletecollection`: the
/// syncer patches, and deletes one object at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// Read one object.
    Get,
    /// Read a collection.
    List,
    /// Follow the changes of a collection.
    Watch,
    /// Create an object.
    Create,
    /// Change an object.
    Patch,
    /// Delete an object.
    Delete,
    /// Approve a request for a certificate, of a signer.
    Approve,
}

impl Verb {
    /// The verbs of an input.
    pub const READ: &'static [Self] = &[Self::Get, Self::List, Self::Watch];
    /// The verbs with which an object is kept: read to prove, created, changed, deleted.
    pub const KEEP: &'static [Self] = &[Self::Get, Self::Create, Self::Patch, Self::Delete];

    /// The verb as rules spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::Approve => "approve",
        }
    }
}

/// A right on one resource of one cluster. On the host, the right on a namespaced kind is one in
/// the host namespace alone.
///
/// ```
/// use tenet_mapper::{Right, Verb, kinds};
///
/// let right = Right::host(kinds::POD, &[Verb::Patch], "resizes running pods").on("resize");
/// assert_eq!((right.group(), right.resource().as_str()), ("", "pods/resize"));
/// assert!(!right.is_cluster_scoped());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// The cluster.
    pub side: Side,
    /// The kind.
    pub kind: Kind,
    /// The part of the object: `status`, `resize`; none for the object itself.
    pub subresource: Option<&'static str>,
    /// Another host namespace than that of the tenant's objects.
    pub namespace: Option<String>,
    /// The verbs.
    pub verbs: BTreeSet<Verb>,
    /// The reason, as a sentence without its subject: `watches the copies`.
    pub why: Cow<'static, str>,
    /// Set when the syncer works without it, with less.
    pub optional: bool,
}

impl Right {
    /// A right on the host.
    ///
    /// ```
    /// use tenet_mapper::{Right, Side, Verb, kinds};
    ///
    /// assert_eq!(Right::host(kinds::SECRET, Verb::READ, "reads them").side, Side::Host);
    /// ```
    pub fn host(kind: Kind, verbs: &[Verb], why: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Side::Host, kind, verbs, why)
    }

    /// A right in the virtual cluster.
    ///
    /// ```
    /// use tenet_mapper::{Right, Side, Verb, kinds};
    ///
    /// let right = Right::virt(kinds::EVENT, &[Verb::Create], "tells the tenant");
    /// assert_eq!((right.side, right.to_string().as_str()), (Side::Virtual, "create of events in the virtual cluster"));
    /// ```
    pub fn virt(kind: Kind, verbs: &[Verb], why: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Side::Virtual, kind, verbs, why)
    }

    fn new(side: Side, kind: Kind, verbs: &[Verb], why: impl Into<Cow<'static, str>>) -> Self {
        let verbs = verbs.iter().copied().collect();
        Self { side, kind, subresource: None, namespace: None, verbs, why: why.into(), optional: false }
    }

    /// The same right on a part of the object.
    #[must_use]
    pub fn on(self, subresource: &'static str) -> Self {
        Self { subresource: Some(subresource), ..self }
    }

    /// The same right in another namespace of the host.
    ///
    /// ```
    /// use tenet_mapper::{Right, Verb, kinds};
    ///
    /// let right = Right::host(kinds::SERVICE, &[Verb::Get], "reads them").in_namespace("shared");
    /// assert_eq!(right.to_string(), "get of services in namespace shared of the host cluster");
    /// ```
    #[must_use]
    pub fn in_namespace(self, namespace: impl Into<String>) -> Self {
        Self { namespace: Some(namespace.into()), ..self }
    }

    /// The syncer works without it.
    #[must_use]
    pub fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    /// The API group; empty for the core group.
    pub fn group(&self) -> &str {
        self.kind.group
    }

    /// The resource as rules spell it: `pods/status`.
    pub fn resource(&self) -> String {
        match self.subresource {
            Some(subresource) => format!("{}/{subresource}", self.kind.plural),
            None => self.kind.plural.to_owned(),
        }
    }

    /// Returns true if the right reaches beyond one namespace. To read the host namespace itself does not: such a
    /// request is authorized in that namespace, so a Role in it is enough.
    pub fn is_cluster_scoped(&self) -> bool {
        let reads_own_namespace = self.kind == kinds::NAMESPACE && self.verbs.iter().all(|verb| *verb == Verb::Get);
        !self.kind.namespaced && !reads_own_namespace
    }

    /// Returns true if both are rights on the same resource of the same cluster.
    fn is_on(&self, other: &Self) -> bool {
        (self.side, self.kind, self.subresource, &self.namespace)
            == (other.side, other.kind, other.subresource, &other.namespace)
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verbs: Vec<_> = self.verbs.iter().map(|verb| verb.as_str()).collect();
        let group = if self.group().is_empty() { String::new() } else { format!(".{}", self.group()) };
        let place = self.namespace.as_ref().map(|namespace| format!("namespace {namespace} of ")).unwrap_or_default();
        write!(f, "{} of {}{group} in {place}the {} cluster", verbs.join(", "), self.resource(), self.side)
    }
}

impl MapperSpec {
    /// Adds a right that the effects of the mapper need. What its inputs need is known already.
    #[must_use]
    pub fn needs(mut self, right: Right) -> Self {
        self.needs.push(right);
        self
    }

    /// All rights that the mapper needs: those of its inputs, and those that it declares.
    pub fn rights(&self) -> Vec<Right> {
        let mut rights = Vec::new();
        for input in &self.inputs {
            let right = Right::new(input.side, input.kind, Verb::READ, "reads them");
            rights.push(if input.optional { right.optional() } else { right });
        }
        if !self.samples.is_empty() {
            let why = "learns by a dry run what the API server fills in";
            rights.push(Right::virt(self.kind, &[Verb::Create], why));
        }
        rights.extend(self.rights_of_table());
        if self.has_conditions {
            rights.push(Right::virt(self.kind, &[Verb::Patch], "says when a change did not cross").on("status"));
        }
        rights.extend(self.needs.iter().cloned());
        rights
    }

    /// The rights to read what the configuration lists elsewhere on the host. The syncer works without them, with less.
    pub fn rights_elsewhere(&self, facts: &Facts) -> Vec<Right> {
        let own = facts.names.host_namespace("");
        let of = |elsewhere: &Elsewhere, namespace: String| {
            let right = Right::host(elsewhere.kind, Verb::READ, elsewhere.why).optional();
            if namespace == own { right } else { right.in_namespace(namespace) }
        };
        let scopes = self.elsewhere.iter().flat_map(|it| (it.scopes)(facts).into_iter().map(move |scope| (it, scope)));
        scopes.map(|(elsewhere, scope)| of(elsewhere, scope.namespace)).collect()
    }

    /// The rights to bring up what the table says is the host's.
    fn rights_of_table(&self) -> Vec<Right> {
        let rules = self.table.iter().flat_map(|table| table.rules());
        let up: Vec<_> = rules.filter(|(_, rule)| rule.action == Action::Up).map(|(path, _)| path).collect();
        let is_status = |path: &&str| *path == "status" || path.starts_with("status.");
        let right = || Right::virt(self.kind, &[Verb::Patch], "shows what the host owns");
        let status = up.iter().any(is_status).then(|| right().on("status"));
        let rest = up.iter().any(|path| !is_status(path)).then(right);
        status.into_iter().chain(rest).collect()
    }

    /// The rights that an effect needs and the mapper does not declare.
    pub fn undeclared(&self, effect: &Effect) -> Vec<Right> {
        let mut declared = self.rights();
        // A picture of what is elsewhere goes after a proof there.
        declared.extend(self.elsewhere.iter().map(|it| Right::host(it.kind, Verb::READ, it.why)));
        let is_declared = |needed: &Right| {
            needed
                .verbs
                .iter()
                .all(|verb| declared.iter().any(|right| right.is_on(needed) && right.verbs.contains(verb)))
        };
        effect.rights().into_iter().filter(|needed| !is_declared(needed)).collect()
    }
}

impl Effect {
    /// The rights that the gate needs to perform it.
    pub fn rights(&self) -> Vec<Right> {
        use Verb::{Create, Delete, Get, List, Patch};
        let (target, why) = (self.target(), "performs an effect");
        let on = |verbs: &[Verb]| Right::new(target.side, target.kind, verbs, why);
        let part = |verbs: &[Verb], subresource| Right { subresource, ..on(verbs) };
        match self {
            // A conflict is looked into: the object may be ours.
            Self::ApplyHost(_) => vec![on(&[Get, Create, Patch])],
            Self::ApplyVirtual(apply) => {
                let status = apply.desired.get("status").map(|_| part(&[Patch], Some("status")));
                std::iter::once(on(&[Get, Create, Patch])).chain(status).collect()
            }
            Self::PatchHost(patch) => vec![part(&[Patch], patch.subresource)],
            Self::PatchVirtual(patch) => vec![part(&[Patch], patch.subresource)],
            Self::MintTokens(_) => {
                vec![on(&[Get, Create, Patch]), Right::virt(kinds::SERVICE_ACCOUNT, &[Create], why).on("token")]
            }
            Self::RequestCertificate(_) => vec![
                on(&[Get, Create]),
                Right::virt(kinds::SERVICE_ACCOUNT, &[Get], why),
                Right::host(kinds::SECRET, &[Get], why),
            ],
            Self::Bind(_) => vec![part(&[Create], Some("binding"))],
            Self::Delete(deletion) => {
                let other = if target.side == Side::Host { Side::Virtual } else { Side::Host };
                let proof = match deletion.cause() {
                    Cause::TwinAbsent { twin } => Some(Right::new(other, *twin, &[Get], why)),
                    Cause::ShownAbsent => Some(Right::new(other, target.kind, &[Get], why)),
                    Cause::SourcesAbsent { kind, .. } => Some(Right::new(other, *kind, &[List], why)),
                    Cause::TwinDeleting { .. } | Cause::Redundant => None,
                };
                std::iter::once(on(&[Delete])).chain(proof).collect()
            }
            // The engine may do that for every mapper.
            Self::Emit(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Deletion, Input, KeysOf, Object, Projection};

    fn deletion() -> Effect {
        let service = serde_json::json!({"metadata": {"namespace": "team-a", "name": "s", "uid": "u"}});
        Effect::Delete(Deletion::redundant(kinds::SERVICE, &Object::new(service)))
    }

    #[test]
    fn inputs_bring_their_rights_and_optional_ones_are_optional() {
        let nodes = Input::new(Side::Host, kinds::NODE, Projection::Whole, KeysOf::None).optional();
        let rights = MapperSpec::new("node", kinds::NODE).reads(nodes).rights();
        let [right] = &rights[..] else { panic!("{rights:?}") };
        assert!(right.optional && right.is_cluster_scoped());
        assert_eq!(right.to_string(), "get, list, watch of nodes in the host cluster");
    }

    #[test]
    fn the_host_namespace_is_read_with_a_role_in_it() {
        assert!(!Right::host(kinds::NAMESPACE, &[Verb::Get], "identifies it").is_cluster_scoped());
        assert!(Right::host(kinds::NAMESPACE, &[Verb::Get, Verb::List], "lists them").is_cluster_scoped());
    }

    #[test]
    fn an_effect_without_a_declared_right_is_found() {
        let spec = MapperSpec::new("service", kinds::SERVICE);
        assert_eq!(spec.undeclared(&deletion()).len(), 1);
        let spec = spec.needs(Right::host(kinds::SERVICE, &[Verb::Patch], "changes them"));
        assert_eq!(spec.undeclared(&deletion()).len(), 1, "a right to change is none to delete");
        let spec = spec.needs(Right::host(kinds::SERVICE, &[Verb::Delete], "removes them"));
        assert_eq!(spec.undeclared(&deletion()), []);
    }
}
