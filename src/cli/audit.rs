//! `soulsense audit`: the trail, and the story of a member.

use anyhow::Context;
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::Args;
use domain::identity::account::{USERNAME_SCOPE, Username};
use projections::audit::{AUDIT, Filter, events};
use uuid::Uuid;

use super::output::{self, Format};
use super::projections::caught_up;
use crate::config::Config;
use crate::http::audit::TrailEvent;
use crate::node::Node;

/// Which events, and in which form. Every filter that is given must fit. The newest are taken and printed in
/// the order in which they happened.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Only events about this member.
    #[arg(long, value_name = "NAME|ID")]
    pub user: Option<String>,
    /// Only what this actor did: an account id, `policy:…`, `job:…` or `cli:…`.
    #[arg(long)]
    pub actor: Option<String>,
    /// Only events of this type, for instance `entry_written`.
    #[arg(long = "type", value_name = "TYPE")]
    pub event_type: Option<String>,
    /// Only streams of this kind, or one stream: `entry`, or `entry/0199d2a5-…`.
    #[arg(long, value_name = "KIND[/ID]")]
    pub stream: Option<String>,
    /// Only what followed from one request.
    #[arg(long, value_name = "ID")]
    pub correlation: Option<Uuid>,
    /// Recorded then or later: `2026-01-31`, or `2026-01-31T08:00:00Z`.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<DateTime<Utc>>,
    /// Recorded earlier than that.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<DateTime<Utc>>,
    /// At most so many events.
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..))]
    pub limit: i64,
    /// In which form.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// A day, which begins at midnight UTC, or a moment.
fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(day.and_time(NaiveTime::MIN).and_utc());
    }
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.to_utc())
        .map_err(|_| "neither 2026-01-31 nor 2026-01-31T08:00:00Z".to_owned())
}

/// Prints the events.
pub async fn run(config: Config, arguments: Arguments) -> anyhow::Result<()> {
    let node = super::tool(config).await?;
    let subject = match &arguments.user {
        Some(user) => Some(account_of(&node, user).await?),
        None => None,
    };
    let (aggregate_type, aggregate_id) = match arguments.stream {
        Some(stream) => match stream.split_once('/') {
            Some((kind, id)) => (Some(kind.to_owned()), Some(id.to_owned())),
            None => (Some(stream), None),
        },
        None => (None, None),
    };
    let filter = Filter {
        aggregate_type,
        aggregate_id,
        event_type: arguments.event_type,
        actor: arguments.actor,
        subject,
        correlation: arguments.correlation,
        from: arguments.since,
        to: arguments.until,
        ..Filter::default()
    };
    caught_up(&node, &[AUDIT]).await?;
    let mut found = events(&node.read(), &node.log.reader(), &filter, arguments.limit).await?;
    found.reverse();
    let found: Vec<TrailEvent> = found.into_iter().map(TrailEvent::from).collect();
    let header = ["POSITION", "RECORDED AT", "EVENT", "STREAM", "BY", "AS"];
    output::list(arguments.format, &found, header, |event| {
        [
            event.position.to_string(),
            output::time(event.recorded_at),
            event.event_type.clone(),
            format!(
                "{}/{}#{}",
                event.aggregate_type, event.aggregate_id, event.sequence
            ),
            event.actor_id.clone(),
            event.actor_role.clone(),
        ]
    })?;
    node.stop().await;
    Ok(())
}

/// The account of a name or an id.
async fn account_of(node: &Node, user: &str) -> anyhow::Result<Uuid> {
    if let Ok(id) = user.parse() {
        return Ok(id);
    }
    let unknown = || format!("there is no member {user}");
    let name = Username::parse(user)
        .map_err(|violation| anyhow::anyhow!("{}", violation.detail))
        .with_context(unknown)?;
    let holder = node
        .log
        .claim_holder(USERNAME_SCOPE, name.as_str(), node.clock.now())
        .await?;
    Ok(holder.with_context(unknown)?.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight() {
        assert_eq!(moment("2026-01-31"), moment("2026-01-31T00:00:00Z"));
    }

    #[test]
    fn a_moment_elsewhere_is_told_in_utc() {
        assert_eq!(
            moment("2026-01-31T05:30:00+05:30"),
            moment("2026-01-31T00:00:00Z")
        );
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "yesterday", "2026-02-30", "2026-01-31T25:00:00Z"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}
