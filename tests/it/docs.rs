//! Pages match the code.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use tenet_mapper::rules::{Action, Rule};

const HEAD: &str = "# What crosses, field by field\n\n\
Generated from the rule tables: `UPDATE=1 cargo test --test it generated` writes it anew.\n\n\
A path that stands in no table is refused, with an event on the object; `unknownFields: drop` in the configuration leaves it \
out instead. A value that the API server fills in by itself is no reason to refuse. `[]` is every element of a list, `{}` every \
value of a map; a rule other than *copied* and *name* covers everything below its path.\n\n\
| word | meaning |\n|---|---|\n\
| copied | the virtual side owns it; it crosses unchanged |\n\
| name | the virtual side owns it; the name of an object, translated, and that object is copied to the host as well |\n\
| set | the syncer writes the host's value, from the tenant's value where there is one |\n\
| narrowed | a selector, narrowed to the virtual cluster |\n\
| host | the host owns it; it comes up, and never goes down; *computed*: not as it is |\n\
| left out | it means nothing on the host |\n\
| refused | an object that carries it does not cross |\n\n\
*follows*: changes after creation follow to the host.\n";

#[test]
fn the_generated_page_of_kinds_is_up_to_date() -> Result<()> {
    let mut page = HEAD.to_owned();
    for mapper in tenet_core_mappers::all() {
        let spec = mapper.spec();
        let Some(table) = &spec.table else { continue };
        writeln!(page, "\n## {}\n\n| field | rule | | why |\n|---|---|---|---|", spec.kind)?;
        for (path, rule) in table.rules() {
            let follows = if rule.kept { "follows" } else { "" };
            writeln!(page, "| `{path}` | {} | {follows} | {} |", word(rule), why(rule))?;
        }
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/kinds.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &page)?;
    }
    let found = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    assert!(found == page, "docs/kinds.md is not what the tables say: run with UPDATE=1");
    Ok(())
}

/// CI builds, lints and tests the examples, so a block that stands in one works.
#[test]
fn every_block_on_the_page_of_mappers_stands_in_an_example() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/mappers.md"))?;
    let blocks: Vec<_> = page.split("```").skip(1).step_by(2).collect();
    for block in &blocks {
        let (head, text) = block.split_once('\n').context("a block on one line")?;
        let file = head.split_once(' ').map(|(_, file)| file).filter(|file| file.starts_with("examples/"));
        let file = file.with_context(|| format!("a block names no file of an example: {text}"))?;
        let source = std::fs::read_to_string(root.join(file)).with_context(|| file.to_owned())?;
        assert!(source.contains(text), "docs/mappers.md shows another {file}:\n{text}");
    }
    assert!(blocks.len() >= 9, "only {} blocks", blocks.len());
    Ok(())
}

/// A tenant who looks up a reason finds it, and finds none that is never emitted.
#[test]
fn the_page_of_troubleshooting_has_every_reason_of_an_event() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let code = std::fs::read_to_string(root.join("mappers/api/src/event.rs"))?;
    let emitted: Vec<&str> =
        code.lines().filter_map(|line| line.trim().strip_suffix("\",")?.split("=> \"").nth(1)).collect();
    let page = std::fs::read_to_string(root.join("docs/troubleshooting.md"))?;
    let described: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert!(emitted.len() >= 8, "only {emitted:?}");
    assert_eq!(described, emitted);
    Ok(())
}

#[test]
fn links_between_the_pages_lead_somewhere() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages: Vec<_> = ["README.md", "ARCHITECTURE.md"].map(|name| root.join(name)).into();
    for entry in std::fs::read_dir(root.join("docs"))? {
        pages.push(entry?.path());
    }
    let (mut broken, mut count) = (Vec::new(), 0);
    for page in pages {
        let text = std::fs::read_to_string(&page)?;
        let folder = page.parent().context("a folder")?;
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") {
                continue;
            }
            count += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { page.clone() } else { folder.join(file) };
            let is_there = if anchor.is_empty() { file.exists() } else { anchors(&file).iter().any(|it| it == anchor) };
            if !is_there {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(broken.is_empty() && count > 50, "{count} links, broken: {broken:#?}");
    Ok(())
}

/// Returns the anchors of the headings of a page, as they are made for a link.
fn anchors(page: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(page).unwrap_or_default();
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let anchor = |heading: &str| -> String {
        let lower = heading.to_lowercase();
        lower
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect()
    };
    headings.map(anchor).collect()
}

fn word(rule: &Rule) -> String {
    match rule.action {
        Action::Copy if rule.whole => "copied, with all below it".to_owned(),
        Action::Copy => "copied".to_owned(),
        Action::Reference(kind) => format!("name of a {kind}"),
        Action::Set => "set".to_owned(),
        Action::Selector(_) => "narrowed".to_owned(),
        Action::Up if rule.computed => "host, computed".to_owned(),
        Action::Up => "host".to_owned(),
        Action::Omit => "left out".to_owned(),
        Action::Refuse if rule.unless.is_empty() => "refused".to_owned(),
        Action::Refuse => format!("refused, unless `{}`", rule.unless.join("` or `")),
    }
}

fn why(rule: &Rule) -> String {
    rule.why.replace('|', "\\|")
}
