//! The question banks that come with the program, published at the first start.

use std::time::{Duration, Instant};

use domain::exams::question_bank::{Bank, QuestionBankCommand, SHIPPED};
use event_log::Metadata;

use crate::commands::{CommandError, Request};
use crate::node::Node;

/// Longest wait until what was published can be read.
const READ_MODEL_WAIT: Duration = Duration::from_secs(5);
/// How often it is looked whether the read models are live.
const LOOK: Duration = Duration::from_millis(10);

/// Publishes every shipped bank that the log does not have. A bank of the same version with other
/// content stays as it was published, since exams were scored with it. What is new can be read when this
/// returns, unless the read models are being built over a long log.
pub async fn publish(node: &Node) -> anyhow::Result<()> {
    let mut newest = None;
    for text in SHIPPED {
        let bank = Bank::parse(text)
            .map_err(|faults| anyhow::anyhow!("a shipped bank is faulty: {faults:?}"))?;
        let id = bank.stream_id();
        let command = QuestionBankCommand::Publish {
            bank: Box::new(bank),
            now: node.clock.now(),
        };
        let request = Request::system(Metadata::system("job:shipped-banks", node.ids.next()));
        match node.banks.execute(&id, &command, &request).await {
            Ok(done) => newest = done.position.or(newest),
            Err(CommandError::Rejected(rejection)) => {
                tracing::warn!(bank = id, %rejection, "a shipped bank differs from the published one");
            }
            Err(error) => return Err(error.into()),
        }
    }
    if let Some(position) = newest {
        readable(node, position).await;
    }
    Ok(())
}

/// Waits until the read models of exams are live and have reached a position.
async fn readable(node: &Node, position: i64) {
    let begun = Instant::now();
    while !node.projector.is_live() && begun.elapsed() < READ_MODEL_WAIT {
        tokio::time::sleep(LOOK).await;
    }
    let rest = READ_MODEL_WAIT.saturating_sub(begun.elapsed());
    let progress = node.projector.progress();
    progress
        .wait(projections::exams::READ, position, rest)
        .await;
}
