//! Services: the same `ClusterIP` on both sides.

use serde_json::Value;
use tenet_mapper::rules::{Rule, copy, refuse, selector, up};
use tenet_mapper::translate::selectors::{Scope, service_selector};
use tenet_mapper::{
    Context, MapError, Mapper, MapperSpec, Object, Outcome, RuleMapper, Translate, VirtualKey, async_trait, kinds,
};

const SPEC: &[Rule] = &[
    copy("type").kept(),
    selector("selector").kept(),
    copy("clusterIP").because("asked for at creation; then the host's counts"),
    copy("clusterIPs[]").because("asked for at creation; then the host's count"),
    copy("ipFamilies[]").because("asked for at creation; then the host's count"),
    copy("ipFamilyPolicy").kept(),
    copy("sessionAffinity").kept(),
    copy("sessionAffinityConfig.clientIP.timeoutSeconds").kept(),
    copy("publishNotReadyAddresses").kept(),
    copy("internalTrafficPolicy").kept(),
    copy("externalTrafficPolicy").kept(),
    copy("trafficDistribution").kept(),
    copy("loadBalancerIP").kept(),
    copy("loadBalancerSourceRanges[]").kept(),
    copy("loadBalancerClass").kept(),
    copy("allocateLoadBalancerNodePorts").kept(),
    copy("healthCheckNodePort").because("asked for at creation; then the host's counts"),
    copy("externalName").because("a Service with an external name does not cross"),
    refuse("externalIPs", "would take traffic of the host's nodes that is meant for others").unless(&["[]"]),
];

const PORT: &[Rule] = &[
    copy("name").kept(),
    copy("protocol").kept(),
    copy("appProtocol").kept(),
    copy("port").kept(),
    copy("targetPort").kept(),
    copy("nodePort").because("asked for at creation; then the host's counts"),
];

/// Carries Services across.
pub struct ServiceMapper {
    copies: RuleMapper<Services>,
}

/// What a Service is on the host.
struct Services(MapperSpec);

impl ServiceMapper {
    /// The mapper of Services.
    pub fn new() -> Self {
        let table = crate::table(&[("spec", SPEC), ("spec.ports[]", PORT), ("", &[up("status")])]);
        let spec = MapperSpec::both_sides("service", kinds::SERVICE, table);
        Self { copies: RuleMapper::new(Services(spec)) }
    }
}

impl Default for ServiceMapper {
    fn default() -> Self {
        Self::new()
    }
}

impl Translate for Services {
    fn spec(&self) -> &MapperSpec {
        &self.0
    }

    fn wanted(&self, _cx: &Context<'_>, virt: &Object) -> bool {
        virt.str_at("/spec/type") != Some("ExternalName")
            && (virt.namespace(), virt.name()) != ("default", "kubernetes")
    }

    fn finish(
        &self,
        cx: &Context<'_>,
        virt: &Object,
        _host: Option<&Object>,
        mut draft: Value,
    ) -> Result<Value, MapError> {
        let scope = Scope { vc: &cx.facts().names.cluster, namespace: virt.namespace() };
        let selector = service_selector(virt.at("/spec/selector"), scope)
            .map_err(|error| MapError::refused("spec.selector", error.to_string()))?;
        if let Some(selector) = selector {
            draft["spec"]["selector"] = Value::Object(selector);
        }
        Ok(draft)
    }
}

#[async_trait]
impl Mapper for ServiceMapper {
    fn spec(&self) -> &MapperSpec {
        self.copies.spec()
    }

    async fn reconcile(&self, cx: &Context<'_>, key: &VirtualKey) -> Result<Outcome, MapError> {
        self.copies.reconcile(cx, key).await
    }
}
