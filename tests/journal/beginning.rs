//! Streams that are begun without being read: what is there already is noticed all the same.

use std::error::Error;
use std::sync::Arc;

use domain::id::{AccountId, EntryId};
use domain::journal::entry::{Draft, Entry, EntryBody, EntryCommand, EntryError};
use event_log::Metadata;
use event_log::command_ids::{Outcome as Remembered, Remember};
use futures::future::join_all;
use soulsense::clock::Ids;
use soulsense::commands::{CommandError, Done, Request};
use soulsense::node::{Node, Purpose};
use uuid::Uuid;

use crate::support::app::{App, on_each_engine};
use crate::support::engines::{Outcome, id};

type Begun = Result<Done<Entry>, CommandError<EntryError>>;

/// A node beside the application's, with a memory and an appender of its own.
pub(super) async fn beside(app: &App) -> Result<Arc<Node>, Box<dyn Error>> {
    let config = app.node.config.clone();
    Ok(Node::open(config, Purpose::Tool, app.clock.clone(), Ids::system()).await?)
}

pub(super) fn write(app: &App, account: &str, entry: Uuid) -> Result<EntryCommand, Box<dyn Error>> {
    let draft = Draft {
        content: Some("Written as the first thing".to_owned()),
        ..Draft::default()
    };
    let body = EntryBody::try_new(draft, app.clock.now().date_naive());
    Ok(EntryCommand::Write {
        entry_id: EntryId(entry),
        account_id: AccountId(account.parse()?),
        body: Box::new(body.map_err(|_| "a good draft")?),
        now: app.clock.now(),
    })
}

pub(super) fn request(remember: Option<Remember>) -> Request {
    Request {
        remember,
        ..Request::system(Metadata::system("test", id()))
    }
}

async fn begin(node: &Node, entry: Uuid, command: &EntryCommand, request: &Request) -> Begun {
    node.entries
        .begin(&entry.to_string(), command, request)
        .await
}

fn is_refused(begun: &Begun) -> bool {
    matches!(
        begun,
        Err(CommandError::Rejected(EntryError::AlreadyWritten))
    )
}

#[tokio::test]
async fn a_stream_that_is_there_is_refused_whoever_begins_it_again() -> Outcome {
    on_each_engine(async |app| {
        let (asha, other) = (app.member("asha").await?, beside(app).await?);
        let entry = id();
        let command = write(app, &asha.id, entry)?;
        assert_eq!(
            begin(&app.node, entry, &command, &request(None))
                .await?
                .sequence,
            1
        );
        for node in [&app.node, &other] {
            assert!(is_refused(
                &begin(node, entry, &command, &request(None)).await
            ));
        }
        other.stop().await;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn of_many_who_begin_one_stream_at_once_one_does_and_the_others_are_refused() -> Outcome {
    on_each_engine(async |app| {
        let (asha, other) = (app.member("asha").await?, beside(app).await?);
        for _ in 0..10 {
            let (entry, request) = (id(), request(None));
            let command = write(app, &asha.id, entry)?;
            let nodes = [&app.node, &other].into_iter().cycle().take(8);
            let begun = join_all(nodes.map(|node| begin(node, entry, &command, &request))).await;
            assert_eq!(begun.iter().filter(|begun| begun.is_ok()).count(), 1);
            assert_eq!(begun.iter().filter(|begun| is_refused(begun)).count(), 7);
        }
        other.stop().await;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_was_begun_under_a_command_id_is_not_begun_again_under_another_stream() -> Outcome {
    on_each_engine(async |app| {
        let (asha, other) = (app.member("asha").await?, beside(app).await?);
        let remembered = |entry: Uuid, said: &str| {
            request(Some(Remember {
                scope: format!("http:{}:POST /journal", asha.id),
                key: "once".to_owned(),
                request: said.as_bytes().to_vec(),
                outcome: Remembered {
                    status: 201,
                    aggregate_id: entry.to_string(),
                },
                expires_at: None,
                cause: None,
            }))
        };
        // each try makes an id of its own, as a handler does
        let tries = [id(), id(), id(), id()];
        let commands: Vec<_> = tries
            .iter()
            .map(|entry| write(app, &asha.id, *entry))
            .collect::<Result<_, _>>()?;
        let requests = tries.map(|entry| remembered(entry, "the same"));
        let nodes = [&app.node, &other];
        let begun = join_all((0..2).map(|at| {
            let (node, entry) = (nodes[at], tries[at]);
            begin(node, entry, &commands[at], &requests[at])
        }))
        .await;
        let mut positions = Vec::new();
        for done in begun {
            positions.extend(done?.position);
        }
        for at in 2..4 {
            let done = begin(nodes[at - 2], tries[at], &commands[at], &requests[at]).await?;
            let first = done.repeated.ok_or("it was carried out again")?;
            assert!(
                [tries[0], tries[1]]
                    .map(|id| id.to_string())
                    .contains(&first.aggregate_id)
            );
            assert_eq!(done.sequence, 1);
            positions.extend(done.position);
        }
        positions.dedup();
        assert_eq!(positions.len(), 1, "{positions:?}");
        let entry = id();
        let (command, other_request) = (write(app, &asha.id, entry)?, remembered(entry, "another"));
        let begun = begin(&app.node, entry, &command, &other_request).await;
        assert!(matches!(begun, Err(CommandError::OtherRequest)));
        other.stop().await;
        Ok(())
    })
    .await
}
