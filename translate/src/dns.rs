//! DNS settings of a pod. The host's kubelet knows only the host's DNS, so the content that a kubelet of the
//! virtual cluster would write into `resolv.conf` goes into `dnsConfig`.

use serde_json::{Value, json};

/// Maximum of nameservers, in the kubelet and the API (`MaxDNSNameservers`).
const MAX_NAMESERVERS: usize = 3;
/// Maximum of search paths (`MaxDNSSearchPaths`).
const MAX_SEARCHES: usize = 32;
/// Maximum of characters in all search paths, spaces included (`MaxDNSSearchListChars`).
const MAX_SEARCH_CHARS: usize = 2048;
/// Maximum length of a search path. Longer ones abort some resolvers, so the kubelet leaves them out.
const MAX_SEARCH_LENGTH: usize = 253;

/// Inputs of the DNS settings of a pod.
#[derive(Clone, Copy, Debug)]
pub struct DnsInput<'a> {
    /// `spec.dnsPolicy`; the API's default is `ClusterFirst`.
    pub policy: Option<&'a str>,
    /// `spec.hostNetwork`.
    pub host_network: bool,
    /// Virtual namespace of the pod.
    pub namespace: &'a str,
    /// Domain of the virtual cluster, such as `cluster.local`; empty for none.
    pub cluster_domain: &'a str,
    /// Address of the virtual cluster's DNS Service, once it is known.
    pub nameserver: Option<&'a str>,
    /// `spec.dnsConfig`.
    pub dns_config: Option<&'a Value>,
}

/// DNS fields of a host pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// `spec.dnsPolicy`.
    pub policy: &'static str,
    /// `spec.dnsConfig`.
    pub config: Option<Value>,
    /// True if the pod should use the cluster's DNS but its address is unknown: it gets the node's DNS, and
    /// the tenant should be warned with the event `MissingClusterDNS`, as by a kubelet.
    pub missing_nameserver: bool,
    /// True if nameservers or search paths exceeded a limit and were left out, which a kubelet reports with the
    /// event `DNSConfigForming`.
    pub cut: bool,
}

/// Computes the DNS fields of a host pod, as a kubelet of the virtual cluster would set them up.
///
/// Two things cannot be expressed: a kubelet appends the search paths of its node's `resolv.conf`
/// to those of the cluster, and it picks the family of the nameserver.
pub fn dns(input: &DnsInput<'_>) -> Dns {
    let unchanged = |policy| Dns {
        policy,
        config: input.dns_config.filter(|config| !config.is_null()).cloned(),
        missing_nameserver: false,
        cut: false,
    };
    match input.policy {
        Some("None") => unchanged("None"),
        Some("Default") => unchanged("Default"),
        // With the host's network, only ClusterFirstWithHostNet selects the cluster's DNS.
        Some("ClusterFirst") | None if input.host_network => unchanged("Default"),
        _ => cluster_first(input),
    }
}

fn cluster_first(input: &DnsInput<'_>) -> Dns {
    let users = |field| input.dns_config.and_then(|config| config.get(field));
    let mut nameservers = Distinct::default();
    nameservers.extend(input.nameserver);
    nameservers.extend(texts(users("nameservers")));

    let mut searches = Distinct::default();
    let domain = input.cluster_domain;
    let own = [format!("{}.svc.{domain}", input.namespace), format!("svc.{domain}")];
    if !domain.is_empty() {
        searches.extend(own.iter().map(String::as_str).chain([domain]));
    }
    searches.extend(texts(users("searches")));

    let cut = nameservers.cut(MAX_NAMESERVERS) | fit(&mut searches);
    let mut config = json!({"options": options(users("options"))});
    if !nameservers.0.is_empty() {
        config["nameservers"] = json!(nameservers.0);
    }
    if !searches.0.is_empty() {
        config["searches"] = json!(searches.0);
    }
    Dns {
        policy: if input.nameserver.is_some() { "None" } else { "Default" },
        config: Some(config),
        missing_nameserver: input.nameserver.is_none(),
        cut,
    }
}

/// Distinct texts, in order of first appearance.
#[derive(Default)]
struct Distinct<'a>(Vec<&'a str>);

impl<'a> Distinct<'a> {
    fn extend(&mut self, texts: impl IntoIterator<Item = &'a str>) {
        for text in texts {
            if !self.0.contains(&text) {
                self.0.push(text);
            }
        }
    }

    fn cut(&mut self, length: usize) -> bool {
        let over = self.0.len() > length;
        self.0.truncate(length);
        over
    }
}

fn texts(list: Option<&Value>) -> impl Iterator<Item = &str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

fn fit(searches: &mut Distinct<'_>) -> bool {
    let mut cut = searches.cut(MAX_SEARCHES);
    let before = searches.0.len();
    searches.0.retain(|search| search.len() <= MAX_SEARCH_LENGTH);
    while searches.0.iter().map(|search| search.len() + 1).sum::<usize>() > MAX_SEARCH_CHARS + 1 {
        searches.0.pop();
    }
    cut |= searches.0.len() < before;
    cut
}

/// Returns `ndots:5` and all options of the user. Of two options with one name the later wins, as in a kubelet.
fn options(users: Option<&Value>) -> Vec<Value> {
    let mut options = vec![json!({"name": "ndots", "value": "5"})];
    for option in users.and_then(Value::as_array).into_iter().flatten() {
        let Some(name) = option.get("name").and_then(Value::as_str) else {
            continue;
        };
        let mut own = json!({"name": name});
        if let Some(value) = option.get("value").and_then(Value::as_str) {
            own["value"] = value.into();
        }
        match options.iter_mut().find(|option| option["name"] == name) {
            Some(option) => *option = own,
            None => options.push(own),
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn input<'a>(policy: Option<&'a str>, config: Option<&'a Value>) -> DnsInput<'a> {
        DnsInput {
            policy,
            host_network: false,
            namespace: "shop",
            cluster_domain: "cluster.local",
            nameserver: Some("10.0.0.10"),
            dns_config: config,
        }
    }

    fn cluster() -> Value {
        json!({
            "nameservers": ["10.0.0.10"],
            "searches": ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local"],
            "options": [{"name": "ndots", "value": "5"}],
        })
    }

    #[test]
    fn each_policy_means_what_it_means_to_a_kubelet() {
        let own = json!({"nameservers": ["1.1.1.1"], "options": [{"name": "edns0"}]});
        for (policy, host_network, config, expected) in [
            (None, false, None, ("None", Some(cluster()))),
            (Some("ClusterFirst"), false, None, ("None", Some(cluster()))),
            (Some("ClusterFirst"), true, None, ("Default", None)),
            (Some("ClusterFirst"), true, Some(&own), ("Default", Some(own.clone()))),
            (Some("ClusterFirstWithHostNet"), true, None, ("None", Some(cluster()))),
            (Some("ClusterFirstWithHostNet"), false, None, ("None", Some(cluster()))),
            (Some("Default"), false, Some(&own), ("Default", Some(own.clone()))),
            (Some("Default"), true, None, ("Default", None)),
            (Some("None"), false, Some(&own), ("None", Some(own.clone()))),
        ] {
            let dns = dns(&DnsInput { host_network, ..input(policy, config) });
            assert_eq!((dns.policy, dns.config), expected, "{policy:?} {host_network}");
            assert!(!dns.missing_nameserver && !dns.cut);
        }
    }

    #[test]
    fn what_the_user_adds_is_kept() {
        let own = json!({
            "nameservers": ["10.0.0.10", "1.1.1.1"],
            "searches": ["example.com", "cluster.local"],
            "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"},
                        {"name": "timeout", "value": "1"}, {"name": "timeout", "value": "3"}],
        });
        assert_eq!(
            dns(&input(None, Some(&own))).config.unwrap(),
            json!({
                "nameservers": ["10.0.0.10", "1.1.1.1"],
                "searches": ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "example.com"],
                "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}, {"name": "timeout", "value": "3"}],
            })
        );
    }

    #[test]
    fn limits_are_those_of_the_kubelet() {
        let long: Vec<_> = (0..40).map(|n| format!("{n}.example.com")).collect();
        let longer: Vec<_> = (0..29).map(|n| format!("{n:0>80}.com")).collect();
        for (config, field, length, cut) in [
            (json!({"nameservers": ["1.1.1.1", "1.1.1.2"]}), "nameservers", 3, false),
            (json!({"nameservers": ["1.1.1.1", "1.1.1.2", "1.1.1.3"]}), "nameservers", 3, true),
            (json!({"searches": long}), "searches", 32, true),
            (json!({"searches": ["a".repeat(253)]}), "searches", 4, false),
            (json!({"searches": ["a".repeat(254)]}), "searches", 3, true),
            (json!({"searches": longer}), "searches", 26, true),
        ] {
            let dns = dns(&input(None, Some(&config)));
            assert_eq!(dns.config.unwrap()[field].as_array().unwrap().len(), length, "{config}");
            assert_eq!(dns.cut, cut, "{config}");
        }
    }

    #[test]
    fn a_missing_nameserver_is_told() {
        let own = json!({"options": [{"name": "edns0"}]});
        let dns = dns(&DnsInput { nameserver: None, ..input(None, Some(&own)) });
        assert!(dns.missing_nameserver);
        assert_eq!(dns.policy, "Default");
        let mut expected = cluster();
        expected.as_object_mut().unwrap().remove("nameservers");
        expected["options"].as_array_mut().unwrap().push(json!({"name": "edns0"}));
        assert_eq!(dns.config, Some(expected));
    }

    #[test]
    fn without_a_domain_there_are_no_searches() {
        let config = dns(&DnsInput { cluster_domain: "", ..input(None, None) }).config.unwrap();
        assert!(config.get("searches").is_none());
    }

    proptest! {
        #[test]
        fn the_host_never_gets_more_than_it_takes(
            nameservers in prop::collection::vec("1\\.1\\.1\\.[0-9]", 0..6),
            searches in prop::collection::vec("[a-c.]{0,300}", 0..50),
        ) {
            let own = json!({"nameservers": nameservers, "searches": searches});
            let config = dns(&input(None, Some(&own))).config.unwrap();
            let list = |field: &str| -> Vec<String> {
                texts(config.get(field)).map(str::to_owned).collect()
            };
            prop_assert_eq!(&list("nameservers")[0], "10.0.0.10");
            prop_assert!(list("nameservers").len() <= 3);
            prop_assert!(list("searches").len() <= 32);
            prop_assert!(list("searches").join(" ").len() <= 2048);
            prop_assert!(list("searches").starts_with(&["shop.svc.cluster.local".to_owned()]));
        }
    }
}
