//! All integration tests in one program, so that they link once. One module a bounded context.

mod architecture;
mod documents;
mod event_log;
mod statements;
mod support;
