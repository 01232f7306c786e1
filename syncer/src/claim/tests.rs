//! A claim between two API servers that answer by a table.

use serde_json::{Value, json};
use tenet_mapper::translate::NameScheme;

use super::half::Progress;
use super::*;
use crate::fixture::{Answers, Asked, api};

const VIRT: &str = "cluster-1";

fn wired() -> Wiring {
    Wiring { name: "vc-1".into(), namespace: "team-a".into(), scheme: NameScheme::Tenet }
}

fn identity() -> Identity {
    Identity { host: Claim::HOST_OF_TEST.into(), virt: VIRT.into() }
}

impl Claim {
    const HOST_OF_TEST: &str = "team-a-uid";

    /// A claim that agrees without a look, for tests of what stands behind it.
    fn agreeing(virt: Api, host: Api) -> Self {
        let claim = Self::new(wired(), virt, host, Duration::from_secs(5));
        *claim.identity.lock() = Some(identity());
        claim.publish(State::Agrees);
        claim
    }

    /// [`Self::agreeing`] with API servers of its own that confirm it, if `system` is the right `kube-system`.
    pub(crate) fn answered(system: (&'static str, &'static str, u16, Value)) -> Self {
        let list = |side| json!({"items": [half(side, 5)]});
        let namespace = json!({"metadata": {"uid": Self::HOST_OF_TEST}});
        let virt = vec![system, ("GET", "/api/v1/namespaces/kube-system/configmaps", 200, list(Side::Virtual))];
        let host = vec![
            ("GET", "/api/v1/namespaces/team-a", 200, namespace),
            ("GET", "/api/v1/namespaces/team-a/configmaps", 200, list(Side::Host)),
        ];
        Self::agreeing(api(virt).0, api(host).0)
    }

    /// A claim that agrees and is confirmed.
    pub(crate) fn agreed_for_tests() -> Self {
        Self::answered(("GET", "/api/v1/namespaces/kube-system", 200, json!({"metadata": {"uid": VIRT}})))
    }
}

fn half(side: Side, epoch: u64) -> Value {
    let mut half = wired().half(identity(), epoch, Progress::Bound).object(side, &wired());
    half["metadata"]["resourceVersion"] = json!("7");
    half
}

/// A virtual side with this UID, this half and this revision of the store.
fn virt(uid: &str, half: &Value, revision: u64) -> Answers {
    let list = json!({"metadata": {"resourceVersion": revision.to_string()}, "items": [half]});
    vec![
        ("GET", "/api/v1/namespaces/kube-system", 200, json!({"metadata": {"uid": uid}})),
        ("GET", "/api/v1/namespaces/kube-system/configmaps", 200, list),
    ]
}

#[tokio::test]
async fn a_proof_needs_the_claimed_side_in_a_state_that_is_not_older_than_before() {
    let now = half(Side::Virtual, 5);
    for (what, answers, agrees) in [
        ("as claimed", virt(VIRT, &now, 100), true),
        ("newer", virt(VIRT, &half(Side::Virtual, 6), 120), true),
        ("another cluster", virt("cluster-2", &now, 100), false),
        ("an older epoch", virt(VIRT, &half(Side::Virtual, 4), 120), false),
        ("an older revision", virt(VIRT, &now, 99), false),
        ("no half", virt(VIRT, &Value::Null, 100), false),
        ("no answer", vec![], false),
    ] {
        let claim = Claim::agreeing(api(answers).0, api(vec![]).0);
        claim.newest.lock()[index(Side::Virtual)] = Newest { revision: 100, epoch: 5, ..Newest::default() };
        assert_eq!(claim.verify(Side::Virtual).await.is_ok(), agrees, "{what}");
    }
    let claim = Claim::agreeing(api(virt(VIRT, &now, 100)).0, api(vec![]).0);
    claim.publish(State::Suspended("for a test".into()));
    assert_eq!(claim.verify(Side::Virtual).await, Err(ClaimError::Suspended("for a test".into())));
}

#[tokio::test]
async fn a_start_without_a_claim_makes_one_and_a_real_cluster_is_left_alone() {
    let nodes = |items: Value| ("GET", "/api/v1/nodes", 200, json!({"items": items}));
    let empty = |path: &'static str| ("GET", path, 200, json!({"items": []}));
    let host = || {
        let namespace = json!({"metadata": {"uid": Claim::HOST_OF_TEST}});
        vec![("GET", "/api/v1/namespaces/team-a", 200, namespace), empty("/api/v1/namespaces/team-a/configmaps")]
    };
    let inside = |items| {
        let system = ("GET", "/api/v1/namespaces/kube-system", 200, json!({"metadata": {"uid": VIRT}}));
        vec![system, empty("/api/v1/namespaces/kube-system/configmaps"), nodes(items), empty("/api/v1/pods")]
    };
    let made = |version: &str| json!({"metadata": {"resourceVersion": version}});

    let ((virt, in_virt), (host_api, on_host)) =
        (api(inside(json!([{"metadata": {"name": "ip-10-0-0-1"}}]))), api(host()));
    let claim = Claim::new(wired(), virt, host_api, Duration::from_secs(5));
    let error = claim.establish(None).await.unwrap_err().to_string();
    assert!(
        error.contains("the node ip-10-0-0-1, which is not ours") && error.contains("nothing was written"),
        "{error}"
    );
    let writes =
        [in_virt, on_host].map(|asked| asked.lock().unwrap().iter().filter(|(method, ..)| method != "GET").count());
    assert_eq!(writes, [0, 0]);

    let mut on_host = host();
    on_host.push(("POST", "/api/v1/namespaces/team-a/configmaps", 201, made("8")));
    on_host.push(("PATCH", "/api/v1/namespaces/team-a/configmaps/tenet-claim-vc-1", 200, made("9")));
    let mut in_virt = inside(json!([]));
    in_virt.push(("POST", "/api/v1/namespaces/kube-system/configmaps", 201, made("4")));
    let ((virt, in_virt), (host, on_host)) = (api(in_virt), api(on_host));
    let claim = Claim::new(wired(), virt, host, Duration::from_secs(5));
    let pair = claim.read_both().await.unwrap();
    claim.bind(&pair, identity(), 1).await.unwrap();
    let written = |asked: &Asked| -> Vec<(String, Value)> {
        let asked = asked.lock().unwrap();
        let writes = asked.iter().filter(|(method, ..)| method != "GET");
        writes.map(|(method, _, body)| (method.to_string(), body["data"]["state"].clone())).collect()
    };
    assert_eq!(written(&on_host), [("POST".into(), json!("pending")), ("PATCH".into(), json!("bound"))]);
    assert_eq!(written(&in_virt), [("POST".into(), json!("bound"))]);
}
