//! Checks the fields of a body one by one and reports all that are wrong together.

use domain::rejection::Violation;

use crate::http::Problem;

/// What is wrong with a body so far.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<Violation>);

impl Fields {
    /// The value, or `None` with its violation noted at `pointer`.
    pub(super) fn check<T>(&mut self, pointer: &str, value: Result<T, Violation>) -> Option<T> {
        value
            .map_err(|violation| self.0.push(violation.at(pointer)))
            .ok()
    }

    /// The same for a field that may be absent.
    pub(super) fn check_given<T, U>(
        &mut self,
        pointer: &str,
        given: Option<T>,
        parse: impl FnOnce(T) -> Result<U, Violation>,
    ) -> Option<U> {
        self.check(pointer, parse(given?))
    }

    /// 422 with everything that was noted, if anything was.
    pub(super) fn finish(self) -> Result<(), Problem> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(self.refuse())
    }

    /// 422 with everything that was noted.
    pub(super) fn refuse(self) -> Problem {
        Problem::invalid(self.0)
    }
}
