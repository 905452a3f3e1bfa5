//! Members' attempts at exams: what was asked and answered, the results, and where everybody's latest
//! sound result stands among those that compare with it.

mod fold;
mod projection;
mod queries;

pub use projection::Exams;
pub use queries::{
    Attempt, Filter, HistoryItem, Latest, Scored, Standing, current, exam, history, latest, result,
    standing,
};
