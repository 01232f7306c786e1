//! Secrets: on the host only while something that is synced refers to them.

use serde_json::{Value, json};
use tenet_mapper::rules::{Rule, copy, omit, set};
use tenet_mapper::{
    Context, CopyMapper, MapError, MapperSpec, Object, Projection, Side, Translate, Unwanted, VirtualKey, kinds,
};

const RULES: &[Rule] = &[
    copy("data").whole().kept(),
    omit("stringData", "the API server has merged it into data"),
    copy("immutable").kept().because("an immutable copy spares the kubelets of the host their watch"),
    set(
        "type",
        "is kept for TLS and registry credentials; all others cross as Opaque, because tools of the host act on a type",
    ),
];

/// The types that a pod or an Ingress needs. Tools of the host take others for their own: Helm a release, the token
/// controller a token to fill or delete.
const NEEDED: &[&str] = &["kubernetes.io/tls", "kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg"];

/// Carries Secrets across.
pub type SecretMapper = CopyMapper<Secrets>;

/// Translation of a Secret for the host.
pub struct Secrets(MapperSpec);

/// The mapper of Secrets.
pub(crate) fn mapper() -> SecretMapper {
    let table = crate::table_with(crate::BARE_HEAD, &[("", RULES)]);
    let spec = MapperSpec::both_sides("secret", kinds::SECRET, table)
        .bare()
        .project(Side::Virtual, &Projection::Metadata)
        .project(Side::Host, &Projection::Digest(&["data"]))
        .sample(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tenet-defaults"}}));
    CopyMapper::new(Secrets(spec))
}

impl Translate for Secrets {
    fn spec(&self) -> &MapperSpec {
        &self.0
    }

    fn should_sync(&self, cx: &Context<'_>, virt: &Object) -> bool {
        cx.is_referenced(kinds::SECRET, &VirtualKey::new(virt.namespace(), virt.name()))
    }

    fn unwanted(&self, cx: &Context<'_>, virt: &Object) -> Unwanted {
        crate::unwanted_content(cx, kinds::SECRET, virt)
    }

    fn complete(
        &self,
        _cx: &Context<'_>,
        virt: &Object,
        _host: Option<&Object>,
        mut draft: Value,
    ) -> Result<Value, MapError> {
        // The API server does not allow a change of it, so it matters at creation only.
        let kind = virt.str_at("/type").filter(|kind| NEEDED.contains(kind)).unwrap_or("Opaque");
        draft["type"] = Value::String(kind.to_owned());
        Ok(draft)
    }
}

#[cfg(test)]
mod tests;
