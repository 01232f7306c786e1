use super::*;

/// Blocks of what follows [`MINIMAL`] in a file, and the problems that it makes.
const MISTAKES: &str = include_str!("mistakes.txt");

#[test]
fn each_mistake_is_a_problem_at_its_line_and_column() {
    assert_eq!(problems(MINIMAL), Vec::<String>::new());
    let blocks = MISTAKES.split("\n\n").skip(1);
    for block in blocks.filter(|block| !block.starts_with("# ")) {
        let (expected, text): (Vec<_>, Vec<_>) = block.lines().partition(|line| line.starts_with("! "));
        let found = problems(&format!("{MINIMAL}{}\n", text.join("\n")));
        let found: Vec<_> = found.iter().map(|problem| format!("! {problem}")).collect();
        assert_eq!(found, expected, "{block}");
    }
}

#[test]
fn what_is_required_is_said_where_it_is_missing() {
    let missing = |text: &str, expected: &[&str]| assert_eq!(problems(text), expected, "{text:?}");
    let name = "1:1: name: is required, here or as --name";
    let nothing = [
        "1:1: host.namespace: is required, here or as --host-namespace",
        name,
        "1:1: virtual.kubeconfig: is required, here or as --virtual-kubeconfig",
    ];
    missing("", &nothing);
    missing("# only a comment\n", &nothing);
    missing("{}", &nothing);
    missing(
        "name:\nhost:\n  context: x\nvirtual:\n",
        &[
            name,
            "2:1: host.namespace: is required, here or as --host-namespace",
            "4:1: virtual.kubeconfig: is required, here or as --virtual-kubeconfig",
        ],
    );
    missing("hello", &[r#"1:1: expected a mapping, found the text "hello""#]);
}

#[test]
fn all_problems_are_reported_at_once_in_the_order_of_the_file() {
    let text = "\
host: { namespace: Team_A, kubconfig: /x }
name: a-name-that-is-longer-than-forty-characters
name: b
engine:
  workers: 0
  patrolInterval: 5 minutes
log:
  level: loud
";
    assert_eq!(
        problems(text),
        [
            "1:1: virtual.kubeconfig: is required, here or as --virtual-kubeconfig",
            r#"1:20: host.namespace: "Team_A" is not a DNS label (lower-case letters, digits and '-', at most 63 characters)"#,
            r#"1:28: host.kubconfig: unknown key; did you mean "kubeconfig"?"#,
            r#"2:7: name: "a-name-that-is-longer-than-forty-characters" has 43 characters; at most 40 are allowed"#,
            r#"3:1: the key "name" occurs twice, first in line 2"#,
            "5:12: engine.workers: expected a whole number from 1 to 512, found 0",
            r#"6:19: engine.patrolInterval: "5 minutes" is not a duration from 1s to 24h, such as 30s, 5m or 1h30m"#,
            r#"8:10: log.level: "loud" is not a log level (off, error, warn, info, debug, trace) or target=level, several joined by ','"#,
        ]
    );
}
