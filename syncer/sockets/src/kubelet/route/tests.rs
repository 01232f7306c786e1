use proptest::prelude::*;

use super::*;

fn get(target: &str) -> Result<Route, RouteError> {
    ask(&Method::GET, target)
}

fn ask(method: &Method, target: &str) -> Result<Route, RouteError> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    parse(method, path, query)
}

fn action(target: &str) -> Action {
    match get(target) {
        Ok(Route::Pod(_, action)) => action,
        other => panic!("{target}: {other:?}"),
    }
}

#[test]
fn a_request_becomes_the_request_for_the_host() {
    for (target, wanted) in [
        (
            "/exec/shop/web-0.a/main?command=sh&command=-c&command=echo+a%26b%3D1&input=1&output=1&error=1&tty=1",
            "exec?container=main&command=sh&command=-c&command=echo%20a%26b%3D1&stdin=true&stdout=true&stderr=true&tty=true",
        ),
        ("/exec/shop/web/main?command=ls&output=1&tty=0", "exec?container=main&command=ls&stdout=true"),
        ("/exec/shop/web/0f-a1/main?command=%C3%A9&output=1", "exec?container=main&command=%C3%A9&stdout=true"),
        ("/attach/shop/web/main?input=1&output=1", "attach?container=main&stdin=true&stdout=true"),
        ("/portForward/shop/web", "portforward"),
        ("/portForward/shop/web?port=80&port=443", "portforward?ports=80&ports=443"),
        ("/containerLogs/shop/web/main", "log?container=main"),
        (
            "/containerLogs/shop/web/main?follow=true&tailLines=3&sinceTime=2026-11-23T06%3A00%3A00Z&limitBytes=9\
             &timestamps=true&previous=false&sinceSeconds=1&stream=All",
            "log?container=main&follow=true&timestamps=true&sinceSeconds=1&tailLines=3&limitBytes=9\
             &sinceTime=2026-11-23T06%3A00%3A00Z&stream=All",
        ),
    ] {
        assert_eq!(action(target).subresource(), wanted, "{target}");
    }
    let run = ask(&Method::POST, "/run/shop/web/main?cmd=ls+-l++/tmp").unwrap();
    let Route::Pod(_, run) = run else { panic!() };
    assert_eq!(run.subresource(), "exec?container=main&command=ls&command=-l&command=/tmp&stdout=true&stderr=true");
}

#[test]
fn a_pod_is_reached_by_every_name_that_the_api_server_takes() {
    for name in ["a".repeat(64), "a".repeat(253), format!("job.{}.1", "b-".repeat(60) + "c")] {
        let found = get(&format!("/containerLogs/shop/{name}/main"));
        assert!(matches!(&found, Ok(Route::Pod(pod, Action::Logs { .. })) if pod.name == name), "{name}: {found:?}");
    }
    assert_eq!(get(&format!("/containerLogs/shop/{}/main", "a".repeat(254))), Err(RouteError::NotFound));
}

#[test]
fn whole_nodes_have_their_pages() {
    for (target, route) in [
        ("/pods", Route::Pods),
        ("/pods/", Route::Pods),
        ("/runningpods/", Route::RunningPods),
        ("/stats/summary", Route::StatsSummary),
        ("/stats/summary?only_cpu_and_memory=true", Route::StatsSummary),
        ("/metrics", Route::Metrics),
        ("/metrics/resource", Route::MetricsResource),
        ("/metrics/cadvisor", Route::MetricsCadvisor),
        ("/healthz", Route::Healthz),
        ("/configz", Route::Configz),
    ] {
        assert_eq!(get(target), Ok(route), "{target}");
    }
    assert_eq!(ask(&Method::POST, "/pods"), Err(RouteError::Method));
}

#[test]
fn what_is_no_name_is_nowhere() {
    for target in [
        "",
        "/",
        "//exec/shop/web/main?command=ls&output=1",
        "/exec/shop/web",
        "/exec/shop/web/main/?command=ls&output=1",
        "/exec/shop/../web/main?command=ls&output=1",
        "/exec/shop/./web/main?command=ls&output=1",
        "/exec/shop/web%2f..%2fother/main?command=ls&output=1",
        "/exec/shop/web%252fother/main?command=ls&output=1",
        "/exec/shop/web;a=b/main?command=ls&output=1",
        "/exec/Shop/web/main?command=ls&output=1",
        "/exec/shop/web/ma_in?command=ls&output=1",
        "/exec/shop/-web/main?command=ls&output=1",
        "/exec/shop//main?command=ls&output=1",
        "/exec/sh.op/web/main?command=ls&output=1",
        "/containerLogs/shop/web/uid/main",
        "/portForward/shop",
        "/logs/",
        "/metrics/probes",
        "/debug/pprof/profile",
        "/checkpoint/shop/web/main",
        "/pods/web",
        "/EXEC/shop/web/main?command=ls&output=1",
        "http://other/exec/shop/web/main?command=ls&output=1",
    ] {
        assert_eq!(get(target), Err(RouteError::NotFound), "{target}");
    }
}

#[test]
fn a_query_is_understood_to_its_end_or_refused() {
    for query in [
        "",
        "command=ls",
        "output=1",
        "command=&output=1",
        "command=ls&output=yes",
        "command=ls&output=1&output=1",
        "command=ls&output=1&container=other",
        "command=ls&output=1&impersonate=root",
        "command=l%00s&output=1",
        "command=l%ffs&output=1",
        "command=l%&output=1",
        "command=l%2&output=1",
        "command=ls;output=1",
    ] {
        let answer = get(&format!("/exec/shop/web/main?{query}"));
        assert!(matches!(answer, Err(RouteError::Query(_))), "{query}: {answer:?}");
    }
    for query in
        ["tailLines=-1", "tailLines=1e3", "sinceTime=yesterday", "stream=stdout", "limitBytes=99999999999999999999"]
    {
        let answer = get(&format!("/containerLogs/shop/web/main?{query}"));
        assert!(matches!(answer, Err(RouteError::Query(_))), "{query}: {answer:?}");
    }
    for query in ["port=0", "port=65536", "port=http", "port="] {
        assert!(matches!(get(&format!("/portForward/shop/web?{query}")), Err(RouteError::Query(_))), "{query}");
    }
}

#[test]
fn nothing_changes_by_another_method() {
    for target in ["/exec/shop/web/main?command=ls&output=1", "/containerLogs/shop/web/main", "/portForward/shop/web"] {
        assert_eq!(ask(&Method::DELETE, target), Err(RouteError::Method), "{target}");
    }
    assert_eq!(get("/run/shop/web/main?cmd=ls"), Err(RouteError::Method));
    assert_eq!(ask(&Method::POST, "/containerLogs/shop/web/main"), Err(RouteError::Method));
}

/// Request as the host would parse it: the path of a pod, and the parameters decoded once.
fn decoded(subresource: &str) -> Vec<(String, String)> {
    let query = subresource.split_once('?').map_or("", |(_, query)| query);
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap();
            let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned();
            (decode(name), decode(value))
        })
        .collect()
}

proptest! {
    /// Whatever the command, the host reads the same words, and nothing else.
    #[test]
    fn a_command_arrives_as_it_was_given(words in prop::collection::vec("[^\0]{1,20}", 1..6)) {
        let mut query = Builder::default();
        query.set_all("command", &words);
        let target = format!("/exec/shop/web/main{}&output=1", query.text());
        let read = decoded(&action(&target).subresource());
        let mut wanted = vec![("container".to_owned(), "main".to_owned())];
        wanted.extend(words.into_iter().map(|word| ("command".to_owned(), word)));
        wanted.push(("stdout".to_owned(), "true".to_owned()));
        prop_assert_eq!(read, wanted);
    }

    /// Whatever the bytes, what is accepted names exactly the pod that stands in them.
    #[test]
    fn an_accepted_path_is_made_of_the_names_in_it(path in "(/(exec|attach|run|containerLogs|portForward|[a-z]{0,3})){0,1}(/[a-zA-Z0-9.%;_/~-]{0,12}){0,5}") {
        if let Ok(Route::Pod(pod, action)) = parse(&Method::GET, &path, "command=x&output=1")
            .or_else(|_| parse(&Method::GET, &path, ""))
        {
            let mut parts = vec![action.name(), &pod.namespace, &pod.name];
            parts.extend(pod.uid.as_deref());
            parts.extend(action.container());
            prop_assert_eq!(format!("/{}", parts.join("/")), path);
        }
    }

    /// No input panics.
    #[test]
    fn nothing_panics(path in ".{0,60}", query in ".{0,60}") {
        let _ = parse(&Method::GET, &path, &query);
        let _ = parse(&Method::POST, &path, &query);
    }
}
