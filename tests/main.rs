//! All integration tests in one program, so that they link once. One module a bounded context.

mod architecture;
mod audit;
mod cli;
mod documents;
mod event_log;
mod event_shapes;
mod exams;
mod gamification;
mod identity;
mod journal;
mod nodes;
mod openapi;
mod operations;
mod outage;
mod projector;
mod smoke;
mod statements;
#[allow(dead_code, reason = "each test program uses its part of it")]
mod support;
