use granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::{Entry, Kind, Node, Scalar};
use crate::problem::{Location, Problem};

/// No configuration is as deep as this, and the reader calls itself for each level.
const MAX_DEPTH: usize = 16;

/// Reads the one document in `text`. Problems after which reading goes on are added to `problems`; one that ends it is
/// the error. A text with no document is a null.
pub(crate) fn parse(text: &str, problems: &mut Vec<Problem>) -> Result<Node, Problem> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut builder = Builder { events: Parser::new_from_str_with_options(text, options), problems };
    builder.stream()
}

struct Builder<'t, 'p> {
    events: Parser<'t, StrInput<'t>>,
    problems: &'p mut Vec<Problem>,
}

impl<'t> Builder<'t, '_> {
    fn stream(&mut self) -> Result<Node, Problem> {
        let mut document = None;
        while let Some((event, span)) = self.next()? {
            let location = location(span);
            match event {
                Event::DocumentStart(..) if document.is_some() => {
                    self.report(location, "one document is expected, and here starts a second");
                    break;
                }
                event if event.is_node() => document = Some(self.node(event, span, 0)?),
                _ => {}
            }
        }
        Ok(document.unwrap_or(Node { location: Location::File { line: 1, column: 1 }, kind: Kind::Null }))
    }

    fn next(&mut self) -> Result<Option<(Event<'t>, Span)>, Problem> {
        self.events.next().transpose().map_err(|error| syntax(&error))
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Problem> {
        let location = location(span);
        if depth > MAX_DEPTH {
            return Err(Problem::new(location, "", "the nesting is too deep"));
        }
        if event.anchor_id().is_some() || matches!(event, Event::Alias(_)) {
            let message = "anchors and aliases (&name, *name) are not supported, and this value has one: repeat the value where it is needed";
            return Err(Problem::new(location, "", message));
        }
        let kind = match event {
            Event::Scalar(text, style, _, tag) => self.scalar(text.into_owned(), style, tag.as_deref(), location),
            Event::SequenceStart(_, _, tag) => {
                self.refuse(tag.as_deref(), location);
                self.list(depth)?
            }
            Event::MappingStart(_, _, tag) => {
                self.refuse(tag.as_deref(), location);
                self.map(depth)?
            }
            _ => Kind::Null,
        };
        Ok(Node { location, kind })
    }

    fn scalar(&mut self, text: String, style: ScalarStyle, tag: Option<&Tag>, location: Location) -> Kind {
        let as_text = tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
        if !as_text {
            self.refuse(tag, location);
        }
        if as_text || style != ScalarStyle::Plain {
            return Kind::Scalar(Scalar { text, quoted: true });
        }
        Scalar::plain(text).map_or(Kind::Null, Kind::Scalar)
    }

    fn list(&mut self, depth: usize) -> Result<Kind, Problem> {
        let mut items = Vec::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            items.push(self.node(event, span, depth + 1)?);
        }
        Ok(Kind::List(items))
    }

    fn map(&mut self, depth: usize) -> Result<Kind, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key = self.node(event, span, depth + 1)?;
            let Some((event, span)) = self.next()? else {
                break;
            };
            let value = self.node(event, span, depth + 1)?;
            if let Some(entry) = self.entry(key, value, &entries) {
                entries.push(entry);
            }
        }
        Ok(Kind::Map(entries))
    }

    /// A key and its value, unless the key is one that a configuration cannot have here.
    fn entry(&mut self, key: Node, value: Node, before: &[Entry]) -> Option<Entry> {
        let location = key.location;
        let Kind::Scalar(Scalar { text: key, .. }) = key.kind else {
            let message = format!("expected a text as key, found {}", key.kind.describe());
            self.report(location, message);
            return None;
        };
        if key == "<<" {
            self.report(location, "merge keys (<<) are not supported: repeat the fields");
            return None;
        }
        if let Some(first) = before.iter().find(|entry| entry.key == key) {
            let line = if let Location::File { line, .. } = first.location { line } else { 0 };
            self.report(location, format!("the key {key:?} occurs twice, first in line {line}"));
            return None;
        }
        Some(Entry { key, location, value })
    }

    fn refuse(&mut self, tag: Option<&Tag>, location: Location) {
        if let Some(tag) = tag {
            self.report(location, format!("tags such as {} are not supported", tag.original()));
        }
    }

    fn report(&mut self, location: Location, message: impl Into<String>) {
        self.problems.push(Problem::new(location, "", message));
    }
}

fn location(span: Span) -> Location {
    Location::File { line: span.start.line(), column: span.start.col() + 1 }
}

fn syntax(error: &ScanError) -> Problem {
    let location = Location::File { line: error.marker().line(), column: error.marker().col() + 1 };
    let message = match error.kind() {
        ErrorKind::TabNotAllowed | ErrorKind::TabInBlockIndentation | ErrorKind::TabInIndentation => {
            "indented with a tab; use spaces".to_owned()
        }
        _ => error.info(),
    };
    Problem::new(location, "", format!("the file is not YAML: {message}"))
}
