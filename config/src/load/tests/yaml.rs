use super::*;

#[test]
fn text_that_is_no_yaml_is_a_problem_at_the_place_where_it_stops_to_be() {
    for (text, start) in [
        ("name: vc-1\nhost:\n\tnamespace: a\n", "3:2: the file is not YAML: indented with a tab; use spaces"),
        ("name: [a\n", "1:7: the file is not YAML: unclosed bracket"),
        ("name: vc-1\n  host: x\n", "2:7: the file is not YAML: "),
        ("a: *nowhere\n", "1:4: the file is not YAML: "),
        ("name: \"vc\n", "1:7: the file is not YAML: "),
    ] {
        let found = problems(text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(start), "{text:?}: {found:?}");
    }
}

#[test]
fn anchors_and_aliases_are_refused_at_their_place() {
    let link = |n: usize, alias: &str| format!("a{n}: &a{n} [{alias}]\n");
    let wide = |n: usize| link(n, &format!("*a{}, ", n - 1).repeat(10));
    let bomb = link(0, "x") + &(1..30).map(wide).collect::<String>();
    for (text, location) in [
        ("pods: { serviceAccount: &a bare, priorityClasses: [*a] }\n", "4:28"),
        ("pods: &all\n  serviceAccount: bare\n", "5:3"),
        ("pods: &all [*all]\n", "4:12"),
        ("pods: &nothing\n", "4:15"),
        (&bomb, "4:9"),
    ] {
        let message = "anchors and aliases (&name, *name) are not supported, and this value has one: repeat the value where it is needed";
        assert_eq!(problems(&format!("{MINIMAL}{text}")), [format!("{location}: {message}")], "{text:?}");
    }
}

#[test]
fn a_file_that_is_too_deep_is_refused() {
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        for depth in [200, 100_000] {
            let last = problems(&(open.repeat(depth) + &close.repeat(depth))).pop().unwrap();
            assert!(last.contains("nesting") || last.contains("not YAML"), "{last}");
        }
    }
}

#[test]
fn quotes_byte_order_marks_line_ends_and_tags_of_text_do_not_matter() {
    for text in [
        MINIMAL.replace('\n', "\r\n"),
        format!("\u{feff}{MINIMAL}"),
        MINIMAL.replace("vc-1", "'vc-1'"),
        MINIMAL.replace("vc-1", "!!str vc-1"),
        format!("---\n{MINIMAL}...\n"),
        format!("{MINIMAL}pods:\nannotations: ~\nlog: {{ level: null }}\n"),
    ] {
        let config = read(&text, &Overrides::default());
        assert_eq!(config.map(|config| config.name), Ok("vc-1".to_owned()), "{text:?}");
    }
}

#[test]
fn quantities_may_be_written_as_numbers_and_stay_as_written() {
    let text = format!("{MINIMAL}nodes: {{ capacity: {{ cpu: 1.50, pods: 110, memory: '64' }} }}\n");
    let capacity = &read(&text, &Overrides::default()).unwrap().sections["nodes"]["capacity"];
    let written = ["cpu", "pods", "memory", "ephemeral-storage"].map(|name| capacity[name].as_str().unwrap());
    assert_eq!(written, ["1.50", "110", "64", "100Gi"]);
}

#[test]
fn a_damaged_file_is_refused_or_read_but_never_a_panic() {
    let flags = Overrides::default();
    let known = built_in();
    let reader = Reader::new(&flags, &known);
    let text = format!("{MINIMAL}dns: {{ address: ::1 }}\nadmin:\n  listen: '[::1]:1'\npods:\n  allow:\n  - a.b[]\n");
    for at in 0..text.len() {
        for damage in "\0\t\r\n :-#[]{}&*!|>'\"%@`,?~<0xé\u{feff}".chars() {
            let replaced = format!("{}{damage}{}", &text[..at], &text[at + 1..]);
            let cut = format!("{}{damage}", &text[..at]);
            for text in [replaced, cut] {
                if let Err(problems) = reader.text("f", &text) {
                    assert!(problems.iter().count() > 0, "{text:?}");
                }
            }
        }
    }
}
