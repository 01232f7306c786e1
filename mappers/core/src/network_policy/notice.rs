//! Notice that nothing enforces NetworkPolicies: one event for each namespace that has some.

use tenet_mapper::{
    Context, Effect, Event, EventReason, Input, KeysOf, MapError, Mapper, MapperId, MapperSpec, Outcome, Projection,
    Side, VirtualKey,
};

use super::{ID, KIND};

const MESSAGE: &str = "nothing enforces the NetworkPolicies of this namespace: they are not synced to the host, unless its \
                       administrator enables the mapper network-policy in kinds.enable";

/// Tells tenants that nothing enforces their NetworkPolicies, while the mapper of these is off.
pub struct NetworkPolicyNotice(MapperSpec);

impl NetworkPolicyNotice {
    /// The mapper that runs while the one that carries them does not.
    pub fn new() -> Self {
        let spec = MapperSpec::new("network-policy-notice", KIND).stands_in_for(MapperId::new(ID)).reads(Input::new(
            Side::Virtual,
            KIND,
            Projection::Metadata,
            KeysOf::Own,
        ));
        Self(spec)
    }
}

impl Default for NetworkPolicyNotice {
    fn default() -> Self {
        Self::new()
    }
}

impl Mapper for NetworkPolicyNotice {
    fn spec(&self) -> &MapperSpec {
        &self.0
    }

    /// Emits the event on the first policy of a namespace only.
    fn reconcile(&self, cx: &Context<'_>, key: &VirtualKey) -> Result<Outcome, MapError> {
        let policies = cx.list(Side::Virtual, KIND, key.namespace());
        let first = policies.iter().min_by_key(|policy| policy.name());
        let own = first.filter(|policy| policy.name() == key.name() && !policy.is_deleting());
        let told = own.map(|policy| Effect::Emit(Event::warning(KIND, policy, EventReason::Degraded, MESSAGE)));
        Ok(Outcome::done().then_each(told))
    }
}
