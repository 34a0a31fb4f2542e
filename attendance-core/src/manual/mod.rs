//! What there is to know beside the items: recipes and tables.

pub mod cookbook;
pub mod rules;
pub mod words;
