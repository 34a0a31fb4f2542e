//! Delivery to several targets, entries of every kind, retention, and who is told of trouble.

mod connectors;
mod cost;
mod kinds;
mod newcomers;
mod notices;
mod queue;
mod retention;
mod trouble;

use bridge_bin::demo::crm_stub::{CrmStub, Failure, Fault, Record};
use bridge_bin::store::days::NewCorrection;
use bridge_bin::store::entity::outbox;
use bridge_bin::store::outbox::state;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use crate::support::{Bridge, date};

const FRIDAY_NOON: &str = "2026-03-06T09:00:00Z";

async fn stub() -> CrmStub {
    CrmStub::builder().start().await.expect("a CRM stub")
}

fn webhook(id: &str, kind: &str, to: &CrmStub) -> String {
    format!(
        "[[targets]]\nid = \"{id}\"\nconnector = \"webhook\"\nkind = \"{kind}\"\nurl = \"{}\"\nsecret = \"s1gn\"\n\
         retry_seconds = 1\n",
        to.url()
    )
}

fn crm(to: &CrmStub) -> String {
    format!("[crm]\nurl = \"{}\"\nretry_seconds = 1\n", to.url())
}

fn fail(fault: Fault, times: u16) -> Failure {
    Failure { fault, times }
}

fn held(stub: &CrmStub) -> Vec<Record> {
    stub.snapshot().records
}

/// What a target holds and was not withdrawn: the chosen field of each.
fn current(stub: &CrmStub, field: &str) -> Vec<String> {
    let mut found: Vec<String> = held(stub)
        .into_iter()
        .filter(|record| !record.deleted)
        .map(|record| record.content[field].as_str().unwrap_or("–").to_owned())
        .collect();
    found.sort();
    found
}

async fn void(bridge: &Bridge, target: String, employee: &str, day: &str) {
    let correction = NewCorrection {
        kind: "void_punch",
        target: Some(target),
        employee: employee.to_owned(),
        date: date(day),
        told: None,
        state: None,
        value: None,
        by: "anna".to_owned(),
        reason: "a slip".to_owned(),
    };
    bridge
        .app
        .store
        .add_correction(correction, 0)
        .await
        .expect("a correction");
}

async fn waiting(bridge: &Bridge) -> Vec<(String, i32)> {
    let rows = outbox::Entity::find()
        .filter(outbox::Column::State.eq(state::PENDING))
        .order_by_asc(outbox::Column::Id)
        .all(bridge.app.store.reader());
    let rows = rows.await.unwrap().into_iter();
    rows.map(|row| (row.employee, row.attempts)).collect()
}
