//! The question banks that come with the program, published at the first start.

use domain::exams::question_bank::{Bank, QuestionBankCommand, SHIPPED};
use event_log::Metadata;

use crate::commands::{CommandError, Request};
use crate::node::Node;

/// Publishes every shipped bank that the log does not have. A bank of the same version with other
/// content stays as it was published, since exams were scored with it.
pub async fn publish(node: &Node) -> anyhow::Result<()> {
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
            Ok(_) => {}
            Err(CommandError::Rejected(rejection)) => {
                tracing::warn!(bank = id, %rejection, "a shipped bank differs from the published one");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
