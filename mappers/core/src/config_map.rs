//! `ConfigMap`s: on the host only while something that is synced refers to them.

use serde_json::json;
use tenet_mapper::rules::{Rule, copy};
use tenet_mapper::{Context, CopyMapper, MapperSpec, Object, Projection, Side, Translate, Unwanted, VirtualKey, kinds};

const RULES: &[Rule] = &[
    copy("data").whole().kept(),
    copy("binaryData").whole().kept(),
    copy("immutable").kept().because("an immutable copy spares the kubelets of the host their watch"),
];

/// Carries `ConfigMap`s across.
pub type ConfigMapMapper = CopyMapper<ConfigMaps>;

/// Translation of a `ConfigMap` for the host.
pub struct ConfigMaps(MapperSpec);

/// The mapper of `ConfigMap`s.
pub(crate) fn mapper() -> ConfigMapMapper {
    let table = crate::table_with(crate::BARE_HEAD, &[("", RULES)]);
    let spec = MapperSpec::both_sides("config-map", kinds::CONFIG_MAP, table)
        .bare()
        .project(Side::Virtual, &Projection::Metadata)
        .project(Side::Host, &Projection::Digest(&["data", "binaryData"]))
        .sample(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "tenet-defaults"}}));
    CopyMapper::new(ConfigMaps(spec))
}

impl Translate for ConfigMaps {
    fn spec(&self) -> &MapperSpec {
        &self.0
    }

    fn should_sync(&self, cx: &Context<'_>, virt: &Object) -> bool {
        cx.is_referenced(kinds::CONFIG_MAP, &VirtualKey::new(virt.namespace(), virt.name()))
    }

    fn unwanted(&self, cx: &Context<'_>, virt: &Object) -> Unwanted {
        crate::unwanted_content(cx, kinds::CONFIG_MAP, virt)
    }
}

#[cfg(test)]
mod tests;
