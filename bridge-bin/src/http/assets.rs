//! Style sheets, embedded in the binary.

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use rust_embed::{Embed, EmbeddedFile};

use super::error::Error;
use crate::secret::hex;

#[derive(Embed)]
#[folder = "static/"]
struct Assets;

/// Always asked for again, so that an upgrade shows at once; answered by its tag, so that this costs nothing.
pub(super) async fn file(Path(path): Path<String>, headers: HeaderMap) -> Result<Response, Error> {
    let kind = match path.rsplit_once('.') {
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => return Err(Error::NotFound),
    };
    let EmbeddedFile { data, metadata } = Assets::get(&path).ok_or(Error::NotFound)?;
    let tag = format!("\"{}\"", hex(&metadata.sha256_hash()));
    let common = [(CACHE_CONTROL, "no-cache"), (ETAG, &tag)];
    if headers
        .get(IF_NONE_MATCH)
        .is_some_and(|known| known == tag.as_str())
    {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    Ok((common, [(CONTENT_TYPE, kind)], data).into_response())
}
