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
    ) -> Option<Option<U>> {
        match given {
            None => Some(None),
            Some(value) => self.check(pointer, parse(value)).map(Some),
        }
    }

    /// 422 with everything that was noted.
    pub(super) fn refuse(self) -> Problem {
        Problem::invalid(self.0)
    }
}
