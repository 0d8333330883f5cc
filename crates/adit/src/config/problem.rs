//! What is wrong with a configuration: where, why, and what to write instead. A report shows the
//! line, but never a secret that stands on it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, NamedSource,
    SourceCode, SourceSpan, SpanContents,
};
use serde::Serialize;

/// Whether the configuration can be used all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// It cannot.
    Error,
    /// It can, but probably should not.
    Warning,
}

/// A file's name and its text with the secrets blotted out. Asked for context it shows the whole
/// line, but no other: the next one may hold a secret that no parser found.
#[derive(Debug)]
pub(crate) struct Source(NamedSource<String>);

impl Source {
    pub(super) fn new(name: impl AsRef<str>, text: String) -> Self {
        Self(NamedSource::new(name, text))
    }
}

impl SourceCode for Source {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let text = self.0.inner();
        let end = span.offset() + span.len();
        let (Some(head), Some(tail)) = (text.get(..span.offset()), text.get(end..)) else {
            return Err(MietteError::OutOfBounds);
        };
        if (before, after) == (0, 0) {
            return self.0.read_span(span, 0, 0);
        }
        let start = head.rfind('\n').map_or(0, |at| at + 1);
        let end = tail.find('\n').map_or(text.len(), |at| end + at);
        self.0.read_span(&SourceSpan::from(start..end), 0, 0)
    }
}

/// Where in the file a problem is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The file.
    pub source: Arc<Source>,
    /// Bytes of the text.
    pub span: Range<usize>,
}

impl Place {
    /// Line and column, both counted from 1, the column in characters.
    pub(crate) fn line_column(&self) -> (usize, usize) {
        line_column(self.source.0.inner(), self.span.start)
    }
}

/// Line and column of a byte offset, both counted from 1, the column in characters.
pub(crate) fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    (line, column)
}

/// One problem.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong and why.
    pub message: String,
    /// What to write instead.
    pub help: String,
    /// Where it is, unless it comes from the environment or from something that is missing.
    pub place: Option<Place>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        let place = self.place.as_ref()?;
        Some(&*place.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.place.as_ref()?;
        let label = LabeledSpan::new_primary_with_span(Some("here".to_owned()), place.span.clone());
        Some(Box::new(std::iter::once(label)))
    }
}

/// One problem for `--json`.
#[derive(Debug, Serialize)]
pub(crate) struct ProblemDto<'a> {
    severity: Severity,
    message: &'a str,
    help: &'a str,
    file: Option<&'a str>,
    line: Option<usize>,
    column: Option<usize>,
}

impl<'a> From<&'a Problem> for ProblemDto<'a> {
    fn from(problem: &'a Problem) -> Self {
        let at = problem.place.as_ref().map(Place::line_column);
        Self {
            severity: problem.severity,
            message: &problem.message,
            help: &problem.help,
            file: problem.place.as_ref().map(|place| place.source.0.name()),
            line: at.map(|(line, _)| line),
            column: at.map(|(_, column)| column),
        }
    }
}

/// The problems as text for a terminal, one report after the other.
pub(crate) fn render(problems: &[Problem], color: bool) -> String {
    let theme = if color {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(100)
        .with_context_lines(1);
    let mut text = String::new();
    for problem in problems {
        if handler.render_report(&mut text, problem).is_err() {
            text.push_str(&problem.message);
            text.push('\n');
        }
        text.push('\n');
    }
    text
}

/// Why a configuration cannot be used; has at least one error, and the warnings as well.
#[derive(Debug)]
pub(crate) struct ConfigErrors {
    /// Errors and warnings in the order of the file, those without a place first.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(render(&self.problems, false).trim_end())
    }
}

impl std::error::Error for ConfigErrors {}
