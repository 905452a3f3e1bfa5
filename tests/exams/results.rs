//! Results: what speaks against them, and where they stand among others.

use std::error::Error;
use std::sync::Arc;

use axum::http::StatusCode;
use chrono::TimeDelta;
use domain::exams::exam::{ExamCommand, QuestionCount, Reflection, Response, Start};
use domain::id::{AccountId, ExamId};
use domain::identity::account::AccountCommand;
use domain::language::Language;
use event_log::Metadata;
use serde_json::{Value, json};
use soulsense::commands::Request;

use super::{asked, counting, finish, start};
use crate::support::app::{App, on_each_engine};
use crate::support::engines::Outcome;

#[tokio::test(flavor = "multi_thread")]
async fn answers_faster_than_two_seconds_a_question_make_a_rushed_exam() -> Outcome {
    on_each_engine(async |app| {
        for (name, seconds, rushed) in [("hasty", 19, true), ("calm", 20, false)] {
            let member = app.member(name).await?;
            let exam = start(&member, json!({"question_count": 10})).await?;
            let path = format!("/exams/{}", exam.text("/id"));
            app.later(TimeDelta::seconds(seconds));
            member
                .post(&format!("{path}/responses"), counting(&exam, 4)?)
                .await?
                .is(StatusCode::OK)?;
            // only answers count, not how long one thinks about completing
            app.later(TimeDelta::seconds(60));
            let completed = member.post(&format!("{path}/complete"), json!({})).await?;
            assert_eq!(completed.at("/flags/rushed"), rushed, "{seconds} s");
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_answer_to_everything_makes_an_inconsistent_exam() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let exam = start(&asha, json!({})).await?;
        let same: Vec<Value> = asked(&exam)
            .into_iter()
            .map(|id| json!({"question_id": id, "value": 5}))
            .collect();
        app.later(super::CALMLY);
        let path = format!("/exams/{}", exam.text("/id"));
        asha.post(&format!("{path}/responses"), json!({"responses": same}))
            .await?
            .is(StatusCode::OK)?;
        let completed = asha.post(&format!("{path}/complete"), json!({})).await?;
        assert_eq!(
            completed.at("/flags"),
            json!({"rushed": false, "inconsistent": true})
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_percentile_takes_twenty_others_with_sound_results() -> Outcome {
    on_each_engine(async |app| {
        for number in 0..19 {
            let account = subject(app).await?;
            sit(app, account, if number < 10 { 2 } else { 4 }, false).await?;
        }
        // a rushed result counts for nothing
        let hasty = subject(app).await?;
        sit(app, hasty, 1, true).await?;

        let asha = app.member("asha").await?;
        let exam = start(&asha, json!({"question_count": 10})).await?;
        let completed = finish(&asha, &exam, 4, json!({})).await?;
        assert_eq!(completed.at("/percentile"), Value::Null, "19 others");

        let leaving = app.member("leaving").await?;
        let account: AccountId = leaving.id.parse()?;
        sit(app, account, 2, false).await?;
        let results = format!("/exams/{}/results", exam.text("/id"));
        let standing = asha.get(&results).await?;
        // 11 below, 9 beside: (11 + 4.5) / 20
        assert_eq!(standing.at("/percentile"), 78);

        let leave = AccountCommand::RequestDeletion {
            grace: TimeDelta::hours(1),
            is_last_admin: false,
            now: app.node.clock.now(),
        };
        let metadata = Metadata::system("job:test", app.node.ids.next());
        let request = Request::system(metadata);
        app.node
            .accounts
            .execute(&leaving.id, &leave, &request)
            .await?;
        app.settled().await?;
        let standing = asha.get(&results).await?;
        assert_eq!(
            standing.at("/percentile"),
            Value::Null,
            "who leaves counts no more"
        );

        let come_back = AccountCommand::RestoreAccount {
            now: app.node.clock.now(),
        };
        app.node
            .accounts
            .execute(&leaving.id, &come_back, &request)
            .await?;
        app.settled().await?;
        let standing = asha.get(&results).await?;
        assert_eq!(standing.at("/percentile"), 78);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_exam_leaves_no_row() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let exam = start(&asha, json!({"question_count": 5})).await?;
        let id = exam.text("/id");
        finish(&asha, &exam, 4, json!({"reflection": "Fine."})).await?;
        let erase = ExamCommand::Erase {
            now: app.node.clock.now(),
        };
        let request = Request::system(Metadata::system("job:test", app.node.ids.next()));
        app.node.exams.execute(&id, &erase, &request).await?;
        app.settled().await?;
        for path in [format!("/exams/{id}"), format!("/exams/{id}/results")] {
            asha.get(&path)
                .await?
                .is_problem(StatusCode::NOT_FOUND, "exams.not_found")?;
        }
        let history = asha.get("/exams/history").await?;
        assert_eq!(history.at("/items"), json!([]));
        asha.post(&format!("/exams/{id}/complete"), json!({}))
            .await?
            .is_problem(StatusCode::NOT_FOUND, "exams.not_found")
    })
    .await
}

/// Somebody who has a key and no account.
async fn subject(app: &App) -> Result<AccountId, Box<dyn Error>> {
    let node = &app.node;
    let account = node.ids.next();
    node.log
        .keys()
        .create_subject(account, node.ids.next(), node.clock.now())
        .await?;
    Ok(account.into())
}

/// Has somebody sit an exam of ten questions whose answers each count `keyed`.
async fn sit(app: &App, account: AccountId, keyed: i64, rushed: bool) -> Outcome {
    let node = &app.node;
    let request = Request::system(Metadata::system("job:test", node.ids.next()));
    let bank = node.banks.load("eq-1").await?.state;
    let bank = Arc::new(bank.bank().cloned().ok_or("no bank")?);
    let exam_id = ExamId(node.ids.next());
    let started_at = node.clock.now();
    let start = ExamCommand::Start(Start {
        exam_id,
        account_id: account,
        bank,
        question_count: QuestionCount::try_new(10).map_err(|fault| fault.detail)?,
        age: None,
        language: Language::En,
        idle_timeout: TimeDelta::hours(1),
        last_completed_at: None,
        cooldown: TimeDelta::zero(),
        now: started_at,
    });
    let id = exam_id.to_string();
    let done = node.exams.execute(&id, &start, &request).await?;
    let attempt = done.state.attempt().ok_or("no attempt")?;
    let now = started_at
        + if rushed {
            TimeDelta::seconds(1)
        } else {
            super::CALMLY
        };
    let responses = attempt.items.iter().map(|item| Response {
        question_id: item.id.clone(),
        value: if item.reverse_keyed { 6 - keyed } else { keyed },
    });
    let save = ExamCommand::SaveResponses {
        account_id: account,
        responses: responses.collect(),
        now,
    };
    node.exams.execute(&id, &save, &request).await?;
    let complete = ExamCommand::Complete {
        account_id: account,
        reflection: Some(Reflection::parse("Fine.").map_err(|fault| fault.detail)?),
        now,
    };
    node.exams.execute(&id, &complete, &request).await?;
    app.settled().await
}
