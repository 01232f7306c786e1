use super::*;

/// Fields that change at run time, and a line that changes each.
const LIVE: &[(&str, &str)] = &[
    ("annotations.allow", "annotations: { allow: ['a/*'] }"),
    ("annotations.presets", "annotations: { presets: [loadBalancers] }"),
    ("breaker.release", "breaker: { release: [Pod] }"),
    ("budget.copies", "budget: { copies: 1Gi }"),
    ("budget.writesPerSecond", "budget: { writesPerSecond: 100 }"),
    ("coredns.corefile", "coredns: { corefile: '.:1053 { whoami }' }"),
    ("coredns.enabled", "coredns: { enabled: false }"),
    ("coredns.image", "coredns: { image: 'registry.example.com/coredns:1' }"),
    ("coredns.replicas", "coredns: { replicas: 2 }"),
    ("dns.address", "dns: { address: 10.0.0.1 }"),
    ("dns.clusterDomain", "dns: { clusterDomain: a.local }"),
    ("dns.service", "dns: { service: a/b }"),
    ("endpointSlices.allow", "endpointSlices: { allow: [10.0.0.0/8] }"),
    ("endpointSlices.refuse", "endpointSlices: { refuse: [10.0.0.0/8] }"),
    ("engine.maxInFlight", "engine: { maxInFlight: 5 }"),
    ("engine.patrolInterval", "engine: { patrolInterval: 1h }"),
    ("engine.requestTimeout", "engine: { requestTimeout: 20s }"),
    ("kinds.allow", "kinds: { allow: { Service: [spec.a], Ingress.b.c: [spec.d] } }"),
    ("kubelet.streams.idleTimeout", "kubelet: { streams: { idleTimeout: 1h } }"),
    ("kubelet.streams.perPod", "kubelet: { streams: { perPod: 7 } }"),
    ("kubelet.streams.total", "kubelet: { streams: { total: 7 } }"),
    ("labels.allow", "labels: { allow: [app] }"),
    ("labels.deny", "labels: { deny: [team] }"),
    ("log.level", "log: { level: debug }"),
    ("ingresses.allowAnyHost", "ingresses: { allowAnyHost: true }"),
    ("ingresses.allowDefaultBackend", "ingresses: { allowDefaultBackend: true }"),
    ("ingresses.classes", "ingresses: { classes: [nginx] }"),
    ("ingresses.hosts", "ingresses: { hosts: ['*.example.com'] }"),
    ("networkPolicies.allowAnyPeer", "networkPolicies: { allowAnyPeer: true }"),
    ("networkPolicies.allowIpBlocks", "networkPolicies: { allowIpBlocks: [10.0.0.0/8] }"),
    ("nodes.always", "nodes: { always: {} }"),
    ("nodes.capacity.cpu", "nodes: { capacity: { cpu: 1 } }"),
    ("nodes.capacity.ephemeral-storage", "nodes: { capacity: { ephemeral-storage: 1Gi } }"),
    ("nodes.capacity.memory", "nodes: { capacity: { memory: 1Gi } }"),
    ("nodes.capacity.pods", "nodes: { capacity: { pods: 1 } }"),
    ("pods.allow", "pods: { allow: [spec.hostNetwork] }"),
    ("nodes.tenantScheduling", "nodes: { tenantScheduling: true }"),
    ("pods.csiDrivers", "pods: { csiDrivers: [secrets-store.csi.k8s.io] }"),
    ("pods.hostsFile", "pods: { hostsFile: {} }"),
    ("pods.level", "pods: { level: restricted }"),
    ("pods.presets", "pods: { presets: [ipc-lock] }"),
    ("pods.maxTerminationGracePeriod", "pods: { maxTerminationGracePeriod: 2h }"),
    ("pods.nodeSelector", "pods: { nodeSelector: { pool: tenants } }"),
    ("pods.priorityClasses", "pods: { priorityClasses: [low] }"),
    ("pods.priorityClassLabels", "pods: { priorityClassLabels: { tier: low } }"),
    ("pods.runtimeClassLabels", "pods: { runtimeClassLabels: { tier: low } }"),
    ("pods.runtimeClasses", "pods: { runtimeClasses: [gvisor] }"),
    ("pods.runtimeHandlers", "pods: { runtimeHandlers: { runsc: gvisor } }"),
    ("pods.schedulers", "pods: { schedulers: [volcano] }"),
    ("pods.serviceAccount", "pods: { serviceAccount: none }"),
    ("pods.tolerations.add", "pods: { tolerations: { add: [{ key: tenants, operator: Exists }] } }"),
    ("pods.tolerations.allow", "pods: { tolerations: { allow: [spot] } }"),
    ("replicateServices.fromHost", "replicateServices: { fromHost: [{ from: a, to: b/c }] }"),
    ("replicateServices.toHost", "replicateServices: { toHost: [{ from: a/b, to: c }] }"),
    ("storage.allowEmptyClass", "storage: { allowEmptyClass: true }"),
    ("storage.classLabels", "storage: { classLabels: { tier: tenants } }"),
    ("storage.classes", "storage: { classes: [fast] }"),
    ("storage.snapshotClasses", "storage: { snapshotClasses: [\"*\"] }"),
    ("unknownFields", "unknownFields: drop"),
];

/// Fields that wait for a restart, a line that changes each, its value before and after.
const RESTART: &[(&str, &str, &str, &str)] = &[
    ("admin.listen", "admin: { listen: '0.0.0.0:1' }", "\"127.0.0.1:9090\"", "\"0.0.0.0:1\""),
    ("engine.workers", "engine: { workers: 64 }", "32", "64"),
    ("kinds.disable", "kinds: { disable: [node] }", "[]", "[\"node\"]"),
    ("kinds.enable", "kinds: { enable: [ingress] }", "[]", "[\"ingress\"]"),
    ("kubelet.addresses", "kubelet: { addresses: loopback }", "\"service\"", "\"loopback\""),
    ("kubelet.certificate", "kubelet: { certificate: csr }", "\"selfSigned\"", "\"csr\""),
    ("kubelet.enabled", "kubelet: { enabled: false }", "true", "false"),
    ("kubelet.listen", "kubelet: { listen: '::' }", "\"0.0.0.0\"", "\"::\""),
    ("kubelet.port", "kubelet: { port: 1 }", "10250", "1"),
    ("lease.duration", "lease: { duration: 15s }", "\"4s\"", "\"15s\""),
    ("lease.enabled", "lease: { enabled: true }", "false", "true"),
    ("lease.renewDeadline", "lease: { renewDeadline: 2s }", "\"3s\"", "\"2s\""),
    ("lease.retryPeriod", "lease: { retryPeriod: 2s }", "\"1s\"", "\"2s\""),
    ("log.format", "log: { format: json }", "\"text\"", "\"json\""),
    ("names", "names: vcluster", "\"tenet\"", "\"vcluster\""),
    ("nodes.source", "nodes: { source: host }", "\"auto\"", "\"host\""),
    ("usage.enabled", "usage: { enabled: false }", "true", "false"),
    ("usage.listen", "usage: { listen: '127.0.0.1:1' }", "\"127.0.0.1:10271\"", "\"127.0.0.1:1\""),
    ("webhook.enabled", "webhook: { enabled: false }", "true", "false"),
    ("webhook.failurePolicy", "webhook: { failurePolicy: Ignore }", "\"Fail\"", "\"Ignore\""),
    ("webhook.listen", "webhook: { listen: '127.0.0.1:1' }", "\"127.0.0.1:10270\"", "\"127.0.0.1:1\""),
    ("webhook.maxReservations", "webhook: { maxReservations: 7 }", "64", "7"),
    ("webhook.reservation", "webhook: { reservation: 2m }", "\"1m30s\"", "\"2m\""),
    ("webhook.timeout", "webhook: { timeout: 5s }", "\"10s\"", "\"5s\""),
];

/// Fields of the first lines, which say what the clusters are. They wait for a restart too.
const IDENTITY: &[&str] = &[
    "host.context",
    "host.kubeconfig",
    "host.namespace",
    "name",
    "virtual.context",
    "virtual.kubeconfig",
    "virtual.service",
];

#[test]
fn a_field_that_can_change_at_run_time_does() {
    for (field, line) in LIVE {
        let mut bed = Bed::new(Overrides::default());
        let before = bed.live.get();
        assert_eq!(bed.poll(line), reloaded(&[field], &[]), "{field}");
        let wanted = Config::load_knowing(Some(bed.path()), &Overrides::default(), &built_in()).unwrap();
        assert_eq!(*bed.live.get(), wanted, "{field}");
        assert_ne!(*before, wanted, "{field}");
    }
}

#[test]
fn a_field_that_cannot_keeps_its_value_and_says_that_it_waits_for_a_restart() {
    for (field, line, from, to) in RESTART {
        let mut bed = Bed::new(Overrides::default());
        let before = bed.live.get();
        assert_eq!(bed.poll(line), reloaded(&[], &[(field, from, to)]), "{field}");
        assert_eq!(bed.live.get(), before, "{field}");
    }
}

#[test]
fn every_field_has_its_line_in_these_tables() {
    fn leaves(value: &serde_json::Value, at: &str, into: &mut Vec<String>) {
        let Some(fields) = value.as_object().filter(|fields| !fields.is_empty()) else {
            into.push(at.to_owned());
            return;
        };
        for (key, value) in fields {
            leaves(value, format!("{at}.{key}").trim_start_matches('.'), into);
        }
    }
    let bed = Bed::new(Overrides::default());
    let mut fields = Vec::new();
    leaves(&serde_json::to_value(&*bed.live.get()).unwrap(), "", &mut fields);
    let mut tables: Vec<_> = LIVE.iter().map(|(field, _)| *field).collect();
    tables.extend(RESTART.iter().map(|(field, ..)| field));
    tables.extend(IDENTITY);
    tables.sort_unstable();
    fields.sort_unstable();
    assert_eq!(fields, tables);
}

#[test]
fn what_identifies_the_clusters_waits_for_a_restart() {
    let mut bed = Bed::new(Overrides::default());
    let other = "name: vc-2\nhost: { namespace: b, kubeconfig: /h, context: c }\n\
                 virtual: { kubeconfig: /w, context: d, service: s }\n";
    fs::write(bed.path(), other).unwrap();
    let ReloadOutcome::Reloaded { applied, deferred } = bed.reloader.check() else {
        panic!("a valid file is not refused");
    };
    assert_eq!(applied, Vec::<String>::new());
    let fields: Vec<_> = deferred.iter().map(|deferred| deferred.field.as_str()).collect();
    assert_eq!(fields, IDENTITY);
    assert_eq!(
        deferred[2].to_string(),
        "host.namespace changed from \"team-a\" to \"b\": takes effect after a restart"
    );
}
