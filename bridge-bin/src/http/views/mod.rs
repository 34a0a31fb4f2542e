//! Pages.

pub(super) mod dashboard;
mod day;
pub(super) mod login;
mod state;
mod words;

use askama::Template;
use axum::response::Html;

use super::error::Error;

fn html(page: &impl Template) -> Result<Html<String>, Error> {
    Ok(Html(page.render()?))
}
