//! What an operator does at a terminal, with and without a server beside it.

use std::error::Error;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use projections::generations::{Generation, State};
use serde_json::Value;
use soulsense::clock::{Clock, Ids};
use soulsense::node::{Node, Purpose};
use tokio::io::AsyncReadExt;
use tokio::process::Child;
use tokio::time::timeout;

use super::until;
use crate::support::binary::{Machine, on_each_machine, signal};
use crate::support::engines::Outcome;
use crate::support::raw;

const PATIENCE: Duration = Duration::from_mins(1);

/// A node in this process beside those that run on the machine.
async fn beside(machine: &Machine) -> Result<Arc<Node>, Box<dyn Error>> {
    let (clock, ids) = (Clock::system(), Ids::system());
    Ok(Node::open(machine.config()?, Purpose::Tool, clock, ids).await?)
}

/// How a command ended and what it said.
async fn ended(child: Child) -> Result<(Output, String), Box<dyn Error>> {
    let output = timeout(PATIENCE, child.wait_with_output()).await??;
    let said = String::from_utf8(output.stderr.clone())?;
    Ok((output, said))
}

/// What a command says until it has said these words; by then it listens for signals.
async fn heard(child: &mut Child, words: &str) -> Result<String, Box<dyn Error>> {
    let errors = child.stderr.as_mut().ok_or("no standard error")?;
    let (mut said, mut bytes) = (Vec::new(), [0; 1_024]);
    let hearing = async {
        loop {
            let read = errors.read(&mut bytes).await?;
            said.extend_from_slice(&bytes[..read]);
            let text = String::from_utf8_lossy(&said);
            if text.contains(words) {
                return Ok(text.into_owned());
            }
            if read == 0 {
                return Err(format!("it never says \"{words}\": {text}").into());
            }
        }
    };
    timeout(PATIENCE, hearing).await?
}

async fn newest(node: &Node, name: &str) -> Result<Generation, Box<dyn Error>> {
    let rows = node.projector.generations().list().await?;
    let newest = rows.into_iter().rfind(|row| row.projection == name);
    Ok(newest.ok_or("no generation")?)
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_server_the_server_builds_and_goes_on_when_the_command_is_interrupted() -> Outcome
{
    on_each_machine(async |machine| {
        let server = machine.serve().await?;
        let node = beside(machine).await?;
        let rebuild = ["projections", "rebuild", "audit"];
        let (output, said) = ended(machine.start(&rebuild)?).await?;
        assert!(output.status.success(), "{said}");
        assert!(said.contains("a server runs, and it builds"), "{said}");
        let told = String::from_utf8(output.stdout)?;
        assert!(told.starts_with("audit: generation 2 is live"), "{told}");

        // a server that is stopped keeps its leases for three seconds
        signal("STOP", server.id()?).await?;
        let mut told = Vec::new();
        for repeated in [false, true] {
            let mut command = machine.start(&rebuild)?;
            let said = heard(&mut command, "a server runs, and it builds").await?;
            told.push((command, said, repeated));
        }
        for (command, ..) in &told {
            signal("INT", command.id().ok_or("it has ended")?).await?;
        }
        for (command, before, repeated) in told {
            let (output, rest) = ended(command).await?;
            let said = before + &rest;
            assert!(output.status.success(), "{said}");
            assert!(said.contains("the server goes on building"), "{said}");
            let already = said.contains("audit: generation 3 is being built already");
            assert_eq!(already, repeated, "{said}");
        }
        assert_eq!(newest(&node, "audit").await?.state, State::Building);
        signal("CONT", server.id()?).await?;
        until("the server has built it", async || {
            let row = newest(&node, "audit").await?;
            Ok(row.generation == 3 && row.state == State::Live)
        })
        .await?;
        node.stop().await;
        server.kill().await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_the_command_builds_stops_cleanly_and_goes_on_where_it_was() -> Outcome {
    on_each_machine(async |machine| {
        machine.serve().await?.terminate().await?;
        let node = beside(machine).await?;
        raw::padding(&node.log, 20_000).await?;
        let rebuild = ["projections", "rebuild", "audit"];
        let command = machine.start(&rebuild)?;
        until("a part of it is built", async || {
            let row = newest(&node, "audit").await?;
            Ok(row.generation == 2 && row.position > 0)
        })
        .await?;
        signal("INT", command.id().ok_or("it has ended")?).await?;
        let (output, said) = ended(command).await?;
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("interrupted: audit is at position"), "{said}");
        let row = newest(&node, "audit").await?;
        assert_eq!((row.generation, row.state), (2, State::Building));
        assert_eq!(row.owner, None, "it keeps its lease");
        assert!(row.position > 0);

        let (output, said) = ended(machine.start(&rebuild)?).await?;
        assert!(output.status.success(), "{said}");
        assert!(
            said.contains("audit: generation 2 is being built already"),
            "{said}"
        );
        assert!(!said.contains("a server runs"), "{said}");
        let row = newest(&node, "audit").await?;
        assert_eq!((row.generation, row.state), (2, State::Live));
        node.stop().await;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_stops_a_projection_is_skipped_for_a_reason() -> Outcome {
    on_each_machine(async |machine| {
        let server = machine.serve().await?;
        let node = beside(machine).await?;
        raw::unknown_entry(&node.log).await?;
        let position = node.log.reader().head().await?.position;
        let name = "entries";
        let status = async || {
            let told = machine.run(&["projections", "status", "--json"]).await?;
            let rows: Vec<Value> = serde_json::from_str(&told.done()?)?;
            let row = rows.into_iter().find(|row| row["name"] == name);
            Ok::<Value, Box<dyn Error>>(row.ok_or("no status")?)
        };
        until("it has stopped", async || {
            Ok(status().await?["stopped"] == true)
        })
        .await?;
        let row = status().await?;
        assert_eq!(row["error_position"], position);
        assert!(row["error_at"].is_string(), "{row}");
        let table = machine.run(&["projections", "status"]).await?.done()?;
        assert!(
            table.contains(&format!("at position {position} on 2")),
            "{table}"
        );

        let at = position.to_string();
        let reason = "Written by a build that never left the laboratory.";
        let skip = async |name: &str, at: &str, reason: &str| {
            let arguments = [
                "projections",
                "skip",
                name,
                "--position",
                at,
                "--reason",
                reason,
            ];
            machine.run(&arguments).await
        };
        skip("nothing", &at, reason)
            .await?
            .failed("there is no projection nothing; there are: ")?;
        skip(name, "1", reason)
            .await?
            .failed("has not stopped at this position")?;
        skip("audit", &at, reason)
            .await?
            .failed("has not stopped at this position")?;
        for (at, reason) in [(at.as_str(), "too short"), ("0", reason), ("x", reason)] {
            let refused = skip(name, at, reason).await?;
            assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        }
        let told = skip(name, &at, reason).await?.done()?;
        assert!(told.contains("leaves out the event at position"), "{told}");
        until("it goes on", async || {
            let row = status().await?;
            Ok(row["stopped"] == false && row["lag"] == 0)
        })
        .await?;
        let row = status().await?;
        assert_eq!(row["skipped"], serde_json::json!([position]));
        assert_eq!(row["error"], Value::Null);
        let told = skip(name, &at, reason).await?.done()?;
        assert!(told.contains("left out the event at position"), "{told}");

        let rebuilt = machine
            .run(&["projections", "rebuild", name])
            .await?
            .done()?;
        assert!(
            rebuilt.starts_with("entries: generation 2 is live"),
            "{rebuilt}"
        );
        let trail = machine
            .run(&["audit", "--type", "event_skipped", "--format", "json"])
            .await?
            .done()?;
        let trail: Vec<Value> = serde_json::from_str(&trail)?;
        assert_eq!(trail.len(), 1, "{trail:?}");
        assert_eq!(trail[0]["aggregate_id"], name);
        let actor = trail[0]["actor_id"].as_str().unwrap_or_default();
        assert!(actor.starts_with("cli:"), "{actor}");
        let event = trail[0]["position"].to_string();
        let shown = machine
            .run(&["events", "show", &event, "--format", "json"])
            .await?;
        let shown: Value = serde_json::from_str(&shown.done()?)?;
        assert_eq!(shown["payload"]["reason"], reason);
        node.stop().await;
        server.kill().await
    })
    .await
}
