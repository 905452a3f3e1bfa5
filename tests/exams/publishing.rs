//! Administrators publish and retire question banks.

use axum::http::StatusCode;
use domain::exams::question_bank::SHIPPED;
use domain::identity::account::StaffRole;
use serde_json::{Value, json};

use super::{finish, start};
use crate::support::app::on_each_engine;
use crate::support::engines::Outcome;
use crate::support::staff::staff;

#[tokio::test(flavor = "multi_thread")]
async fn new_exams_ask_the_newest_version_that_is_not_retired() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let first = start(&asha, json!({})).await?;

        let admin = staff(app, "ada", StaffRole::Admin).await?;
        let mut bank: Value = serde_json::from_str(SHIPPED[0])?;
        bank["version"] = json!(2);
        let published = admin.post("/questions/banks", bank.clone()).await?;
        published.is(StatusCode::CREATED)?;
        assert_eq!(published.header("location"), "/api/v1/questions/banks/eq/2");
        let again = admin.post("/questions/banks", bank.clone()).await?;
        again.is(StatusCode::OK)?;
        bank["title"]["en"] = json!("Another title");
        admin
            .post("/questions/banks", bank)
            .await?
            .is_problem(StatusCode::CONFLICT, "exams.bank_already_published")?;

        let ravi = app.member("ravi").await?;
        assert_eq!(start(&ravi, json!({})).await?.at("/bank_version"), 2);
        let completed = finish(&asha, &first, 4, json!({})).await?;
        assert_eq!(completed.at("/bank_version"), 1);

        let retire = admin.request("POST", "/questions/banks/eq/2/retire");
        retire.send().await?.is(StatusCode::NO_CONTENT)?;
        let lucia = app.member("lucia").await?;
        assert_eq!(start(&lucia, json!({})).await?.at("/bank_version"), 1);
        let under_way = ravi.get("/exams/current").await?;
        assert_eq!(under_way.at("/bank_version"), 2);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faulty_bank_or_a_member_publishes_nothing() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let admin = staff(app, "ada", StaffRole::Admin).await?;
        let before = app.settled_head().await?;
        let mut bank: Value = serde_json::from_str(SHIPPED[0])?;
        bank["version"] = json!(2);
        asha.post("/questions/banks", bank.clone())
            .await?
            .is_problem(StatusCode::FORBIDDEN, "auth.role_required")?;
        asha.request("POST", "/questions/banks/eq/1/retire")
            .send()
            .await?
            .is_problem(StatusCode::FORBIDDEN, "auth.role_required")?;
        app.post("/questions/banks", bank.clone())
            .await?
            .is_problem(StatusCode::UNAUTHORIZED, "auth.token_missing")?;

        bank["items"][0]["weight"] = json!(0);
        bank["colour"] = json!("red");
        let faulty = admin.post("/questions/banks", bank).await?;
        faulty.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "exams.bank_invalid")?;
        let pointers: Vec<String> = (0..2)
            .map(|at| faulty.text(&format!("/errors/{at}/pointer")))
            .collect();
        assert_eq!(pointers, ["/colour", "/items/0/weight"]);
        admin
            .post("/questions/banks", json!([]))
            .await?
            .is_problem(StatusCode::UNPROCESSABLE_ENTITY, "exams.bank_invalid")?;
        admin
            .request("POST", "/questions/banks/eq/7/retire")
            .send()
            .await?
            .is_problem(StatusCode::NOT_FOUND, "exams.bank_not_found")?;
        assert_eq!(app.settled_head().await?, before);
        Ok(())
    })
    .await
}
