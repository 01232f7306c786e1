use tenet_mapper::EventReason;

use super::*;

/// Host Service as the host's API server stores the fallback.
fn with_another_address(pair: &Pair) -> Clusters {
    let mut clusters = pair.both();
    edit(&mut clusters, Side::Host, "/spec/clusterIP", json!("10.96.200.1"));
    edit(&mut clusters, Side::Host, "/spec/clusterIPs", json!(["10.96.200.1"]));
    edit(&mut clusters, Side::Host, "/spec/ipFamilies", json!(["IPv4"]));
    edit(&mut clusters, Side::Host, "/status", json!({"loadBalancer": {}}));
    clusters
}

/// Service without the fields that an API server drops for type `ExternalName`.
fn drop_fields(clusters: &mut Clusters) {
    for field in [
        "clusterIP",
        "clusterIPs",
        "ipFamilies",
        "ipFamilyPolicy",
        "internalTrafficPolicy",
        "externalTrafficPolicy",
        "healthCheckNodePort",
        "allocateLoadBalancerNodePorts",
        "loadBalancerClass",
    ] {
        edit(clusters, Side::Virtual, &format!("/spec/{field}"), Value::Null);
    }
    let mut ports = virt(clusters).at("/spec/ports").cloned().unwrap();
    for port in ports.as_array_mut().unwrap() {
        port.as_object_mut().unwrap().remove("nodePort");
    }
    edit(clusters, Side::Virtual, "/spec/ports", ports);
}

fn first_step(clusters: &mut Clusters) {
    let effects = reconcile(clusters).unwrap().into_effects();
    let [Effect::ApplyHost(_), Effect::PatchVirtual(_), Effect::Emit(event)] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(event.reason, EventReason::Repaired);
    let writes: usize = effects.into_iter().map(|effect| clusters.perform(effect)).sum();
    assert_eq!(writes, 1);
    drop_fields(clusters);
}

#[test]
fn the_virtual_service_takes_the_address_of_the_host_in_two_steps() {
    for pair in [CLUSTER_IP, LOAD_BALANCER] {
        let mut clusters = with_another_address(&pair);
        let before = virt(&clusters).clone();
        let kept = host(&clusters).unwrap().clone();
        first_step(&mut clusters);
        assert_eq!(virt(&clusters).str_at("/spec/type"), Some("ExternalName"));
        assert_eq!(virt(&clusters).at("/spec/loadBalancerSourceRanges"), None, "the server would refuse them");

        assert_eq!(converge(&mut clusters), 1, "the second step, and rest");
        let mut expected = before.at("/spec").cloned().unwrap();
        expected["clusterIP"] = json!("10.96.200.1");
        expected["clusterIPs"] = json!(["10.96.200.1"]);
        expected["ipFamilies"] = json!(["IPv4"]);
        assert_eq!(virt(&clusters).at("/spec"), Some(&expected));
        assert_eq!(virt(&clusters).uid(), before.uid());
        assert_eq!(host(&clusters), Some(&kept));
    }
}

#[test]
fn between_the_steps_the_host_service_is_left_alone() {
    let mut clusters = with_another_address(&LOAD_BALANCER);
    first_step(&mut clusters);
    // The tenant changes something meanwhile; it follows after the second step.
    edit(&mut clusters, Side::Virtual, "/spec/selector", json!({"app": "other"}));
    let outcome = reconcile(&mut clusters).unwrap();
    assert!(matches!(&outcome.effects()[..], [Effect::PatchVirtual(_)]), "{:?}", outcome.stages);
    assert_eq!(converge(&mut clusters), 2);
    assert_eq!(host(&clusters).unwrap().at("/spec/selector/app"), Some(&json!("other")));
}

#[test]
fn a_host_service_that_is_lost_between_the_steps_costs_nothing_but_its_address() {
    let host_key = HostKey::new("team-a", HOST_NAME);
    let mut seen = with_another_address(&LOAD_BALANCER);
    first_step(&mut seen);
    seen.vanish(kinds::SERVICE, &host_key);
    assert_eq!(converge(&mut seen), 2, "the second step, and a new host Service");
    assert_eq!(virt(&seen).str_at("/spec/type"), Some("LoadBalancer"));
    assert_eq!(host(&seen).unwrap().str_at("/spec/clusterIP"), Some("10.96.200.1"));

    let mut unseen = CLUSTER_IP.virtual_only();
    edit(&mut unseen, Side::Virtual, "/spec/type", json!("ExternalName"));
    edit(&mut unseen, Side::Virtual, "/spec/externalName", json!("clusterip-change.tenet.sh.invalid"));
    drop_fields(&mut unseen);
    converge(&mut unseen);
    assert_eq!(virt(&unseen).str_at("/spec/type"), Some("ClusterIP"));
}

#[test]
fn a_service_that_is_deleted_between_the_steps_goes() {
    let mut clusters = with_another_address(&CLUSTER_IP);
    first_step(&mut clusters);
    edit(&mut clusters, Side::Virtual, "/metadata/deletionTimestamp", json!("2026-11-23T06:00:00Z"));
    assert_eq!(deletion(&reconcile(&mut clusters).unwrap()).cause(), &follows());
}

#[test]
fn the_port_of_the_health_check_needs_the_same_change() {
    let mut clusters = LOAD_BALANCER.both();
    edit(&mut clusters, Side::Host, "/status", json!({"loadBalancer": {}}));
    edit(&mut clusters, Side::Host, "/spec/healthCheckNodePort", json!(31999));
    first_step(&mut clusters);
    converge(&mut clusters);
    assert_eq!(virt(&clusters).at("/spec/healthCheckNodePort"), Some(&json!(31999)));
}

#[test]
fn an_address_outside_of_the_virtual_ranges_is_told_and_not_tried() {
    let ranges = |cidrs: &str| {
        let object = format!(
            "apiVersion: networking.k8s.io/v1\nkind: ServiceCIDR\nmetadata: {{name: kubernetes}}\nspec: {{cidrs: {cidrs}}}"
        );
        with_another_address(&CLUSTER_IP).with(Side::Virtual, &object)
    };
    let outcome = reconcile(&mut ranges("[10.97.0.0/16]")).unwrap();
    let [Effect::ApplyHost(_), Effect::Emit(event)] = &outcome.effects()[..] else { panic!("{:?}", outcome.stages) };
    assert_eq!(event.reason, EventReason::Degraded);
    assert!(event.message.starts_with("the service ranges differ: "), "{}", event.message);
    first_step(&mut ranges(r#"[10.97.0.0/16, 10.96.0.0/16, "fd00:1::/108"]"#));
}
